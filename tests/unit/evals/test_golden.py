import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from aspora.evals import RunFailed, run_golden
from aspora.evals.datasets import DatasetError, load_evals, load_triggers
from aspora.kit.clock import SystemClock
from aspora.meta.errors import Unavailable


def write(path: Path, *cases: Any) -> Path:
    path.write_text("".join(json.dumps(c) + "\n" for c in cases))
    return path


def case(case_id: str, message: str, **expect: Any) -> dict[str, Any]:
    return {"id": case_id, "description": "d", "input": {"user_message": message}, "expect": expect}


async def echo(given: Mapping[str, Any]) -> Mapping[str, Any]:
    match given["user_message"]:
        case "fail":
            raise RunFailed("HandlerRaised", "boom")
        case "down":
            raise Unavailable("no sandbox")
        case message:
            return {"success": True, "message": message, "data": {"n": len(message)}, "confidence": 1.0}


async def test_each_case_tells_what_it_missed(tmp_path: Path) -> None:
    path = write(
        tmp_path / "golden.jsonl",
        case("good", "abc", success=True, **{"data.n": {"eq": 3}}),
        case("bad", "abc", success=False, **{"data.n": {"gt": 3}}),
        case("raised", "fail", success=True),
        case("unavailable", "down", success=True),
    )
    report = await run_golden(path, echo, clock=SystemClock())
    assert [(c.id, c.ok, len(c.failures)) for c in report.cases] == [
        ("good", True, 0), ("bad", False, 2), ("raised", False, 1), ("unavailable", False, 1),
    ]  # fmt: skip
    assert (report.ok, report.passed, report.failed) == (False, 1, 3)
    assert report.cases[2].failures == ("the run has no result: HandlerRaised: boom",)
    assert "Unavailable: no sandbox" in report.cases[3].failures[0]


async def test_the_skill_gets_the_input_of_the_handler_protocol(tmp_path: Path) -> None:
    seen: list[Mapping[str, Any]] = []

    async def run(given: Mapping[str, Any]) -> Mapping[str, Any]:
        seen.append(given)
        return await echo(given)

    await run_golden(write(tmp_path / "g.jsonl", case("a", "hi", success=True)), run, clock=SystemClock())
    assert seen == [{"user_message": "hi", "user_id": "", "domain": "", "metadata": {}}]


async def test_a_broken_file_is_an_error_of_the_suite(tmp_path: Path) -> None:
    path = tmp_path / "golden.jsonl"
    path.write_text('{"id": "a"}\nnope\n')
    report = await run_golden(path, echo, clock=SystemClock())
    assert not report.ok
    assert f"{path}:1" in report.error
    assert "can't be read" in (await run_golden(tmp_path / "none", echo, clock=SystemClock())).error


def test_triggers(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text('[{"query": "a", "should_trigger": true}]')
    assert [(t.query, t.should_trigger) for t in load_triggers(path)] == [("a", True)]
    for text in (
        "{}",
        "[]",
        '[{"query": "a"}]',
        '[{"query": "", "should_trigger": true}]',
        "[1]",
        "nope",
        '["\\ud800"',
        "9" * 5000,
        "[" * 3000 + "]" * 3000,
    ):
        path.write_text(text)
        with pytest.raises(DatasetError, match=r"t\.json"):
            load_triggers(path)


def test_evals(tmp_path: Path) -> None:
    path = tmp_path / "e.json"
    good = {"id": 1, "prompt": "p", "expected_output": "o", "files": ["f"], "assertions": ["a"]}
    path.write_text(json.dumps({"skill_name": "toy", "evals": [good]}))
    assert [(c.id, c.files, c.assertions) for c in load_evals(path, skill="toy")] == [("1", ("f",), ("a",))]
    with pytest.raises(DatasetError, match="must be the folder's name 'other'"):
        load_evals(path, skill="other")
    for evals in ([], [good, good], [{"id": 1}], [{**good, "files": "f"}], [3]):
        path.write_text(json.dumps({"skill_name": "toy", "evals": evals}))
        with pytest.raises(DatasetError):
            load_evals(path, skill="toy")
