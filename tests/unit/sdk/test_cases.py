"""Test cases as data: what loads, what is refused and with which words, and what `check` says."""

import json
from pathlib import Path
from typing import Any

import pytest

from aspora_sdk import CaseFileError, SkillResult, SkillTestCase, expectations, load_test_case, load_test_cases

RESULT = SkillResult(
    success=True,
    message="Velocity is normal for C-1",
    data={
        "velocity_score": 0.25,
        "n": 3,
        "flag": True,
        "items": [{"name": "a"}, {"name": "b"}],
        "none": None,
        "d": {"x": 1},
    },
    confidence=0.9,
)


def case(**expect: Any) -> SkillTestCase:
    return SkillTestCase(id="c", description="", input={}, expect=expect)  # pyright: ignore[reportArgumentType]


def holds(path: str, wanted: Any) -> bool:
    return not case(**{path: wanted}).failures(RESULT)


@pytest.mark.parametrize(
    ("path", "wanted", "expected"),
    [
        ("success", True, True),
        ("success", 1, False),
        ("data.flag", 1, False),
        ("data.n", 3.0, True),
        ("data.items.1.name", "b", True),
        ("data.items.2.name", "b", False),
        ("data.items", [{"name": "a"}, {"name": "b"}], True),
        ("data.items", [{"name": "a"}], False),
        ("data.d", {"eq": {"x": 1}}, True),
        ("data.d", {"eq": {"x": True}}, False),
        ("data.none", None, True),
        ("data.absent", None, False),
        ("data.n", {"ne": 4}, True),
        ("data.absent", {"ne": 4}, False),
        ("data.velocity_score", {"lt": 0.5}, True),
        ("data.velocity_score", {"lt": 0.25}, False),
        ("data.velocity_score", {"lte": 0.25, "gte": 0.25}, True),
        ("data.velocity_score", {"gt": 0.2, "lt": 0.21}, False),
        ("message", {"gt": "V"}, True),
        ("message", {"gt": 1}, False),
        ("data.flag", {"gte": 0}, False),
        ("message", {"contains": "normal"}, True),
        ("message", {"contains": ["normal", "C-1"]}, True),
        ("message", {"contains": ["normal", "C-2"]}, False),
        ("data.items", {"contains": {"name": "b"}}, True),
        ("data.d", {"contains": "x"}, True),
        ("data.n", {"contains": 3}, False),
        ("message", {"matches": r"^Velocity .* C-\d$"}, True),
        ("message", {"matches": "^normal"}, False),
        ("data.n", {"in": [1, 2, 3]}, True),
        ("data.flag", {"in": [1]}, False),
        ("data.velocity_score", {"approx": 0.25000001}, True),
        ("data.velocity_score", {"approx": 0.26}, False),
        ("data.velocity_score", {"approx": {"value": 0.26, "abs": 0.02}}, True),
        ("data.velocity_score", {"approx": {"value": 0.26, "rel": 0.01}}, False),
        ("data.n", {"exists": True}, True),
        ("data.absent", {"exists": True}, False),
        ("data.absent", {"exists": False}, True),
        ("data.items", {"length": 2}, True),
        ("data.items", {"length": {"gt": 2}}, False),
        ("message", {"length": {"gte": 5, "lt": 100}}, True),
        ("data.n", {"length": 1}, False),
        ("confidence", {"gte": 0.9}, True),
    ],
)
def test_operators(path: str, wanted: Any, expected: bool) -> None:
    assert holds(path, wanted) is expected


def test_check_names_every_expectation_that_fails() -> None:
    wrong = case(success=False, message={"contains": "blocked"}, **{"data.absent": {"exists": True}, "data.n": 3})
    with pytest.raises(AssertionError) as caught:
        wrong.check(RESULT)
    assert str(caught.value).split("\n") == [
        "case 'c':",
        "  - success: expected eq False, got True",
        "  - message: expected contains 'blocked', got 'Velocity is normal for C-1'",
        "  - data.absent: expected it to be there, got missing",
    ]


def test_a_result_as_the_wire_gives_it_is_checked_alike() -> None:
    case(success=True, **{"data.n": 1}).check({"success": True, "message": "", "data": {"n": 1}, "confidence": None})


@pytest.mark.parametrize(
    ("expect", "words"),
    [
        ({"velocity": 1}, "unknown path 'velocity'"),
        ({"data.x": {"lessthan": 1}}, "unknown operator 'lessthan'"),
        ({"data.x": {}}, "no operator"),
        ({"data.x": {"matches": "("}}, "regular expression"),
        ({"data.x": {"in": "abc"}}, "a list"),
        ({"data.x": {"lt": None}}, "a number or a text"),
        ({"data.x": {"exists": 1}}, "true or false"),
        ({"data.x": {"approx": "1"}}, "a number"),
        ({"data.x": {"length": {"around": 1}}}, "a whole number"),
        ({}, "at least one expectation"),
    ],
)
def test_an_expectation_that_cannot_be_checked_is_refused_on_load(tmp_path: Path, expect: Any, words: str) -> None:
    path = tmp_path / "golden.jsonl"
    good = json.dumps({"id": "a", "expect": {"success": True}})
    path.write_text(good + "\n\n" + json.dumps({"id": "b", "expect": expect}) + "\n")
    with pytest.raises(CaseFileError) as caught:
        load_test_cases(path)
    assert str(caught.value).startswith(f"{path}:3: ")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("{\n", 2, "not JSON"),
        ("[]", 1, "must be an object"),
        ('{"id": "", "expect": {"success": true}}', 1, "`id`"),
        ('{"expect": {"success": true}}', 1, "`id` is None"),
        ('{"id": "a", "expects": {}}', 1, "unknown key 'expects'"),
        ('{"id": "a", "input": {"message": "x"}, "expect": {"success": true}}', 1, "unknown key 'message' in `input`"),
        ('{"id": "a", "input": {"metadata": []}, "expect": {"success": true}}', 1, "input.metadata"),
        ('{"id": "a", "input": {"user_message": 1}, "expect": {"success": true}}', 1, "`input.user_message`"),
        ('{"id": "a", "id": "b", "expect": {"success": true}}', 1, "'id' comes twice"),
        ('{"id": "a", "expect": {"data.n": ' + "[" * 3000 + "]" * 3000 + "}}", 1, "nested too deeply; at most 64"),
        ('{"id": "a", "expect": {"data.n": ' + "9" * 5000 + "}}", 1, "too many digits; write it as a text"),
        ('{"id": "a", "expect": {"data.n": NaN}}', 1, "NaN is not a number in JSON"),
        ('{"id": "\\ud800", "expect": {"success": true}}', 1, "half a character (\\ud800)"),
        ('{"id": "a", "expect": {"message": {"matches": "' + "(" * 3000 + '"}}}', 1, "a regular expression"),
        ('{"id": "a", "expect": {"success": true}}\n{"id": "b", "expect": {"success": true}}', 2, "load_test_cases"),
    ],
)
def test_a_file_that_is_no_case_is_refused_with_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    path = tmp_path / "case.json"
    path.write_text(text)
    with pytest.raises(CaseFileError) as caught:
        load_test_case(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert words in str(caught.value)


def test_one_case_over_many_lines_loads_with_all_its_parts(tmp_path: Path) -> None:
    path = tmp_path / "case.json"
    given = {"user_message": "hi", "user_id": "u", "domain": "d", "metadata": {"a": 1}}
    whole = {"id": "a", "description": "what", "input": given, "expect": {"success": True}}
    path.write_text("\ufeff" + json.dumps(whole, indent=2), encoding="utf-8")
    loaded = load_test_case(path)
    assert (loaded.id, loaded.description, loaded.expect) == ("a", "what", {"success": True})
    assert (loaded.input.user_message, loaded.input.metadata) == ("hi", {"a": 1})


def test_ids_are_unique_and_a_file_is_not_empty_and_is_utf8(tmp_path: Path) -> None:
    path = tmp_path / "golden.jsonl"
    line = json.dumps({"id": "a", "expect": {"success": True}})
    for raw, words in [
        (f"{line}\n{line}\n".encode(), ":2: id 'a' is taken by line 1"),
        (b"\n", ":1: no case"),
        (line.encode() + b"\n\xff", ":2: not UTF-8"),
        (line.encode() + b"\n{", ":2: not a JSON object on one line"),
    ]:
        path.write_bytes(raw)
        with pytest.raises(CaseFileError) as caught:
            load_test_cases(path)
        assert words in str(caught.value)


def test_a_pattern_that_goes_on_for_ever_is_stopped_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expectations, "MATCH_SECONDS", 0.5)
    endless = case(message={"matches": "^(a+)+$"}, success=True)
    (failure,) = endless.failures({"success": True, "message": "a" * 64 + "!", "data": {}, "confidence": None})
    assert failure.startswith("message: matching '^(a+)+$' took longer than 0.5 s on 'aaa")
    assert "a repeat inside a repeat" in failure


def test_numbers_beyond_all_floats_and_long_indexes_are_no_error() -> None:
    huge = 10**400
    assert not holds("data.n", {"approx": huge})
    assert not holds("data.items." + "9" * 5000, 1)
    assert case(**{"data.n": {"approx": huge}}).failures({"data": {"n": huge}}) == []
