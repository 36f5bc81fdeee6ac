"""Whether an artifact can be run as its skill says: what packing a folder makes sure of, asked of any archive."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aspora.meta.errors import FieldError
from aspora.meta.names import did_you_mean, quoted
from aspora.skills.archive import ArchiveFile
from aspora.skills.handler import language_problem
from aspora.skills.load import DOMAIN_GUARDRAILS, GUARDRAILS_MD
from aspora.skills.problems import Report
from aspora.skills.skill_md import SKILL_MD
from aspora.skills.text_files import MAX_TEXT_BYTES, decode_text

_TEXTS = (SKILL_MD, GUARDRAILS_MD, DOMAIN_GUARDRAILS)
_WAY_OUT = "mend the folder and send it with 'aspora apply'"


def settings_problems(spec: Mapping[str, Any], *, path: str) -> Iterator[FieldError]:
    """What stands against running a skill's spec, whatever its artifact holds.

    Args:
        spec: In wire form, its shape checked.
        path: Of the spec in its object, for the errors.
    """
    if problem := language_problem((spec.get("runtime") or {}).get("language", "markdown")):
        yield FieldError(f"{path}.runtime.language", problem)


def artifact_problems(spec: Mapping[str, Any], files: Sequence[ArchiveFile], *, path: str) -> Iterator[FieldError]:
    """What of an artifact stands against running it: no SKILL.md, no UTF-8 text, no handler where one is named."""
    held = {file.path: file.data for file in files}
    digest_path = f"{path}.artifact.digest"
    if SKILL_MD not in held:
        yield FieldError(digest_path, f"the artifact holds no {SKILL_MD}; {_WAY_OUT}")
    for name in _TEXTS:
        for problem in _text_problems(name, held.get(name, b"")):
            yield FieldError(digest_path, f"{problem}; {_WAY_OUT}")
    entry_point: str | None = (spec.get("runtime") or {}).get("entryPoint")
    if entry_point is not None and entry_point not in held:
        near = did_you_mean(entry_point, held)
        hint = near if near.startswith("; did") else "; name a file that it holds, or pack the folder that has this one"
        yield FieldError(f"{path}.runtime.entryPoint", f"{quoted(entry_point)} is not a file of the artifact{hint}")


def _text_problems(name: str, raw: bytes) -> Iterator[str]:
    if len(raw) > MAX_TEXT_BYTES:
        yield f"the artifact's {name} has {len(raw)} bytes; at most {MAX_TEXT_BYTES}"
        return
    report = Report()
    decode_text(raw, shown=name, report=report)
    yield from (f"the artifact's {name} {problem.message.partition(';')[0]}" for problem in report.errors)
