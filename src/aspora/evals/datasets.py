"""The other datasets a skill may bring: queries that should trigger it, and the standard's `evals/evals.json`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aspora.meta.names import quoted
from aspora_sdk.strictjson import NotJson, parse

MAX_BYTES = 4 * 2**20


class DatasetError(ValueError):
    """A dataset that can't be used; the message names file and entry."""


@dataclass(frozen=True, slots=True)
class TriggerCase:
    """A request, and whether the skill should get it."""

    query: str
    should_trigger: bool


@dataclass(frozen=True, slots=True)
class EvalCase:
    """A task with what is expected, for a grader to judge.

    Attributes:
        id: Unique in the file.
        prompt: What the skill is asked.
        expected_output: What a good answer does.
        files: Paths of files that belong to the task.
        assertions: Statements that must hold of the answer.
    """

    id: str
    prompt: str
    expected_output: str = ""
    files: tuple[str, ...] = ()
    assertions: tuple[str, ...] = ()


def load_triggers(path: Path) -> list[TriggerCase]:
    """Read `tests/triggers.json`: `[{"query", "should_trigger"}]`.

    Raises:
        DatasetError: Not of that form.
    """
    entries = _load(path)
    if not isinstance(entries, list) or not entries:
        raise DatasetError(f"{path}: must be a list of {{query, should_trigger}}")
    return [_trigger(path, i, entry) for i, entry in enumerate(entries)]  # pyright: ignore[reportUnknownArgumentType]


def load_evals(path: Path, *, skill: str) -> list[EvalCase]:
    """Read `evals/evals.json`: `{"skill_name", "evals": [{"id", "prompt", …}]}`.

    Raises:
        DatasetError: Not of that form, or of another skill.
    """
    data = _load(path)
    if not isinstance(data, dict) or not isinstance(data.get("evals"), list) or not data["evals"]:
        raise DatasetError(f"{path}: must be {{skill_name, evals: [{{id, prompt, expected_output}}]}}")
    named: Any = data.get("skill_name", skill)  # pyright: ignore[reportUnknownVariableType]
    if named != skill:
        raise DatasetError(f"{path}: skill_name is {quoted(named)}; it must be the folder's name {skill!r}")
    cases = [_eval(path, i, entry) for i, entry in enumerate(data["evals"])]  # pyright: ignore[reportUnknownArgumentType]
    ids = [case.id for case in cases]
    if twice := sorted({i for i in ids if ids.count(i) > 1}):
        raise DatasetError(f"{path}: the id {quoted(twice[0])} comes twice; keep one")
    return cases


def _load(path: Path) -> Any:
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise DatasetError(f"{path}: has more than {MAX_BYTES} bytes; split it into several files")
        return parse(raw.decode("utf-8-sig"))
    except OSError as error:
        raise DatasetError(f"{path}: can't be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: is not UTF-8 (byte {error.start}); save it as UTF-8") from None
    except NotJson as error:
        place = f"{path}:{error.line}:{error.column}" if error.line else f"{path}"
        raise DatasetError(f"{place}: is not JSON: {error.reason}") from None


def _trigger(path: Path, index: int, entry: Any) -> TriggerCase:
    if not isinstance(entry, Mapping):
        raise DatasetError(f"{path}: entry {index} must be an object with query and should_trigger")
    query, should = entry.get("query"), entry.get("should_trigger")  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(query, str) or not query.strip() or not isinstance(should, bool):
        raise DatasetError(f"{path}: entry {index} must have a query (text) and should_trigger (true or false)")
    return TriggerCase(query, should)


def _eval(path: Path, index: int, entry: Any) -> EvalCase:
    if not isinstance(entry, Mapping):
        raise DatasetError(f"{path}: evals[{index}] must be an object")
    fields: Mapping[str, Any] = entry
    case_id, prompt = fields.get("id"), fields.get("prompt")
    if not isinstance(case_id, (str, int)) or isinstance(case_id, bool) or not isinstance(prompt, str):
        raise DatasetError(f"{path}: evals[{index}] must have an id and a prompt (text)")
    return EvalCase(
        str(case_id),
        prompt,
        str(fields.get("expected_output", "")),
        _texts(path, index, "files", fields.get("files", [])),
        _texts(path, index, "assertions", fields.get("assertions", [])),
    )


def _texts(path: Path, index: int, key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):  # pyright: ignore[reportUnknownVariableType]
        raise DatasetError(f"{path}: evals[{index}].{key} must be a list of text")
    return tuple(str(v) for v in value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
