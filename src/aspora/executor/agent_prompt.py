"""What an agent run tells the model, and how its last answer becomes a result. Pure."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from aspora.executor.agent_tools import REFERENCES, SkillFiles

_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*\s*$", re.MULTILINE)
_FENCE = re.compile(r"\A```(?:json)?\s*\n(?P<inner>.*)\n```\Z", re.DOTALL)
_RESULT_FIELDS = frozenset({"success", "message", "data", "confidence"})
MAX_TITLE_CHARACTERS = 120
MAX_LISTED_FILES = 200


def system_prompt(*, instructions: str, guardrails: str, files: SkillFiles, readable: Sequence[str]) -> str:
    """SKILL.md's body, the guardrails, and the list of files the model may open: their names, not their contents."""
    sections = [instructions.strip()]
    if guardrails.strip():
        sections.append(f"# Guardrails\n\nThese rules come before everything else.\n\n{guardrails.strip()}")
    if readable:
        sections.append(_file_list(files, readable))
    return "\n\n".join(sections)


def _file_list(files: SkillFiles, readable: Sequence[str]) -> str:
    lines = [_file_line(files, path) for path in readable[:MAX_LISTED_FILES]]
    more = len(readable) - MAX_LISTED_FILES
    if more > 0:
        lines.append(f"- and {more} more")
    return "# Files\n\nOpen one with the tool `read` when you need it.\n\n" + "\n".join(lines)


def _file_line(files: SkillFiles, path: str) -> str:
    """References are introduced by their first heading, so that the model knows which one to open."""
    title = ""
    if path.startswith(REFERENCES) and path.endswith(".md"):
        heading = _HEADING.search(files.read(path)[:4096].decode(errors="replace"))
        title = f": {heading[1][:MAX_TITLE_CHARACTERS]}" if heading is not None else ""
    return f"- {path}{title}"


def user_prompt(*, user_message: str, metadata: Mapping[str, Any]) -> str:
    """The user's message, then what the caller sent along."""
    if not metadata:
        return user_message
    return (
        f"{user_message}\n\nMetadata sent with this message:\n{json.dumps(metadata, ensure_ascii=False, default=str)}"
    )


def result_of(text: str, *, truncated: bool) -> dict[str, Any]:
    """The answer in the form of a SkillResult.

    Plain text is the message. A JSON object with the fields of a SkillResult is that result; any other JSON object is
    the data, with the answer as it came as the message. Confidence is what the model stated, never made up. A truncated
    answer is marked by `data.truncated`.
    """
    answer = text.strip()
    parsed = _json_object(answer)
    if parsed is None:
        result = {"success": True, "message": answer, "data": {}, "confidence": None}
    elif _is_result(parsed):
        result = {"success": True, "data": {}, "confidence": None, **parsed}
    else:
        result = {"success": True, "message": answer, "data": parsed, "confidence": None}
    if truncated:
        result["data"] = {**cast("dict[str, Any]", result["data"]), "truncated": True}
    return result


def _json_object(answer: str) -> dict[str, Any] | None:
    fenced = _FENCE.match(answer)
    try:
        parsed = json.loads(fenced["inner"] if fenced is not None else answer, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _is_result(parsed: Mapping[str, Any]) -> bool:
    confidence = parsed.get("confidence")
    return (
        set(parsed) <= _RESULT_FIELDS
        and isinstance(parsed.get("message"), str)
        and isinstance(parsed.get("success", True), bool)
        and isinstance(parsed.get("data", {}), dict)
        and (confidence is None or (isinstance(confidence, (int, float)) and 0 <= confidence <= 1))
    )
