"""Test cases as data: an input and what the result must be.

One case is a JSON object; a file holds one (`case.json`) or one a line (`golden.jsonl`).
"""

from __future__ import annotations

import os
import re

from aspora_sdk.context import SkillInput
from aspora_sdk.expectations import ExpectationError, Expectations, shortened
from aspora_sdk.strictjson import NotJson, parse
from aspora_sdk.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from aspora_sdk.result import SkillResult

CASE_KEYS = ("id", "description", "input", "expect")
INPUT_KEYS = ("user_message", "user_id", "domain", "metadata")
RESULT_KEYS = ("success", "message", "data", "confidence")


class CaseFileError(ValueError):
    """A test-case file that cannot be used; the message names the file and the line."""


class SkillTestCase(Value):
    """One case.

    Attributes:
        id: Unique in its file.
        description: What the case shows, for a person.
        input: What the skill is asked.
        expect: What was written in the file, path to expectation.
    """

    __slots__ = ("_expectations", "description", "expect", "id", "input")

    id: str
    description: str
    input: SkillInput
    expect: dict[str, Any]
    _expectations: Expectations

    def __init__(self, *, id: str, description: str, input: SkillInput, expect: Mapping[str, Any]) -> None:
        self._assign(
            id=id, description=description, input=input, expect=dict(expect), _expectations=Expectations(expect)
        )

    def failures(self, result: SkillResult | Mapping[str, Any]) -> list[str]:
        """Each expectation that `result` misses, as a sentence; empty when all hold."""
        given = result if not isinstance(result, Value) else {name: getattr(result, name) for name in RESULT_KEYS}
        return self._expectations.failures(given)

    def check(self, result: SkillResult | Mapping[str, Any]) -> None:
        """Hold `result` to the case.

        Raises:
            AssertionError: It names every expectation that fails.
        """
        if failures := self.failures(result):
            raise AssertionError("\n".join([f"case {self.id!r}:", *(f"  - {failure}" for failure in failures)]))


def load_test_case(path: str | os.PathLike[str]) -> SkillTestCase:
    """Read a file that holds one case, over as many lines as it likes.

    Raises:
        CaseFileError: Not one valid case.
        OSError: The file cannot be read.
    """
    try:
        return _case(parse(_text(path)), where=f"{path}:1")
    except NotJson as problem:
        hint = "; a file with one case a line is read by load_test_cases" if problem.reason == "Extra data" else ""
        raise CaseFileError(f"{path}:{problem.line or 1}: not JSON: {problem.reason}{hint}") from None


def load_test_cases(path: str | os.PathLike[str]) -> list[SkillTestCase]:
    """Read a file with one case a line, such as `golden.jsonl`; empty lines are skipped.

    Raises:
        CaseFileError: A line is no valid case, an id comes twice, or there is no case at all.
        OSError: The file cannot be read.
    """
    line_by_id: dict[str, int] = {}
    cases: list[SkillTestCase] = []
    for number, case in _numbered(path):
        if case.id in line_by_id:
            raise CaseFileError(
                f"{path}:{number}: id {case.id!r} is taken by line {line_by_id[case.id]}; ids are unique in a file"
            )
        line_by_id[case.id] = number
        cases.append(case)
    if not cases:
        raise CaseFileError(f"{path}:1: no case in it; write one JSON object a line")
    return cases


def _numbered(path: str | os.PathLike[str]) -> Iterator[tuple[int, SkillTestCase]]:
    # Not splitlines(): it also splits at characters that JSON text may hold, such as U+2028.
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield number, _case(parse(line), where=f"{path}:{number}")
        except NotJson as problem:
            raise CaseFileError(f"{path}:{number}: not a JSON object on one line: {problem.reason}") from None


def _text(path: str | os.PathLike[str]) -> str:
    with open(path, "rb") as file:
        raw = file.read()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = raw[: problem.start].count(b"\n") + 1
        raise CaseFileError(f"{path}:{line}: not UTF-8 text (byte {problem.start})") from None


def _case(given: Any, *, where: str) -> SkillTestCase:
    _check_keys(given, CASE_KEYS, what="a test case", where=where)
    asked = given.get("input", {})
    _check_keys(asked, INPUT_KEYS, what="`input`", where=where)
    _check_texts(given, where=where)
    if not isinstance(asked.get("metadata", {}), dict):
        raise CaseFileError(f"{where}: input.metadata is {shortened(asked['metadata'])}; it must be an object")
    expect = given.get("expect")
    if not isinstance(expect, dict) or not expect:
        raise CaseFileError(
            f"{where}: `expect` is {shortened(expect)}; it must be an object with at least one expectation"
        )
    try:
        return SkillTestCase(
            id=given["id"], description=given.get("description", ""), input=SkillInput(**asked), expect=expect
        )
    except ExpectationError as problem:
        raise CaseFileError(f"{where}: {problem}") from None


def _check_keys(given: Any, known: tuple[str, ...], *, what: str, where: str) -> None:
    if not isinstance(given, dict):
        raise CaseFileError(f"{where}: {what} is {shortened(given)}; it must be an object")
    for key in given:
        if key not in known:
            raise CaseFileError(f"{where}: unknown key {shortened(key)} in {what}; known: {', '.join(known)}")


def _check_texts(given: dict[str, Any], *, where: str) -> None:
    if not isinstance(given.get("id"), str) or not re.search(r"\S", given["id"]):
        raise CaseFileError(f"{where}: `id` is {shortened(given.get('id'))}; it must be text that names the case")
    texts = {"description": given.get("description", "")}
    texts |= {f"input.{key}": given.get("input", {}).get(key, "") for key in INPUT_KEYS[:3]}
    for name, value in texts.items():
        if not isinstance(value, str):
            raise CaseFileError(f"{where}: `{name}` is {shortened(value)}; it must be text")
