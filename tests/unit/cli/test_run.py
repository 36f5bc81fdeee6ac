import argparse
import io
import os
from pathlib import Path
from typing import Any

import pytest

from aspora.cli.plan import RunPlan
from aspora.cli.verbs.create import expiry
from aspora.cli.verbs.run import (
    MAX_INPUT_BYTES,
    arguments_of,
    folder_of,
    looks_like_a_path,
    read_json_object,
    wire_input,
)
from aspora.skills import load_skill
from aspora.skills.scaffold import create_skill


def test_arguments_are_texts_unless_marked_as_json() -> None:
    words = ["id=007", "amount:=12.5", "who=a=b", "empty=", 'deep:={"k": [1]}']
    assert arguments_of(words, from_file={"id": "x", "kept": 1}) == {
        "id": "007",
        "kept": 1,
        "amount": 12.5,
        "who": "a=b",
        "empty": "",
        "deep": {"k": [1]},
    }


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("x", "key=text"),
        ("=1", "key=text"),
        ("n:=007", "n=007"),
        ("n:=NaN", "NaN is not a number in JSON; leave it out or write null; for a text write n=NaN"),
        ("n:=" + "9" * 5000, "too many digits; write it as a text"),
        ('n:="\\ud800"', r"half a character \(\\ud800\)"),
        ("n=caf\udce9", r"--input 'n=caf\\udce9' is not UTF-8; set the terminal to UTF-8"),
    ],
)
def test_an_argument_that_can_not_be_read_says_how_to_write_it(word: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        arguments_of([word], from_file={})


def test_an_argument_comes_once() -> None:
    with pytest.raises(ValueError, match="a is given twice"):
        arguments_of(["a=1", "a:=2"], from_file={})
    with pytest.raises(ValueError, match="'k' comes twice"):
        arguments_of(['a:={"k": 1, "k": 2}'], from_file={})
    with pytest.raises(ValueError, match="100003 characters") as refused:
        arguments_of(["x" * 100_001], from_file={})
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": 1, "a": 2}', "'a' comes twice"),
        (b'{"a": "' + b"x" * MAX_INPUT_BYTES + b'"}', "more than 1048576 bytes"),
        (b"\xff", "not UTF-8"),
        (b'{"a": "\\ud800"}', "half a character"),
    ],
)
def test_arguments_from_a_file_are_bounded_and_clear(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "input.json").write_bytes(content)
    with pytest.raises(ValueError, match=why):
        read_json_object(str(tmp_path / "input.json"))


def test_arguments_come_from_regular_files_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, kind in ((str(tmp_path / "pipe"), "a pipe"), ("/dev/zero", "a device"), (str(tmp_path), "a folder")):
        with pytest.raises(ValueError, match=f"is {kind}; name a regular file"):
            read_json_object(name)


@pytest.mark.parametrize("text", ["[1]", "nothing", "1"])
def test_arguments_from_a_file_must_be_an_object(tmp_path: Path, text: str) -> None:
    (tmp_path / "input.json").write_text(text)
    with pytest.raises(ValueError, match="--input-json"):
        read_json_object(str(tmp_path / "input.json"))


def test_standard_input_holds_one_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    def args(**given: Any) -> argparse.Namespace:
        return argparse.Namespace(**{"message": "", "input": [], "input_json": "", "user": "u", **given})

    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"a": 1}')))
    assert wire_input(args(input_json="-", message="hi")) == {
        "userMessage": "hi",
        "userId": "u",
        "metadata": {"a": 1},
    }
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"long text")))
    assert wire_input(args(message="-"))["userMessage"] == "long text"
    with pytest.raises(ValueError, match="only one"):
        wire_input(args(message="-", input_json="-"))


def test_what_is_a_folder_and_what_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_skill(tmp_path / "skills", "hr/screen")
    monkeypatch.chdir(tmp_path)
    assert looks_like_a_path("./hr/screen")
    assert looks_like_a_path("skills/hr/screen")
    assert not looks_like_a_path("hr/screen")
    assert folder_of("hr/screen", skills_root="") == Path("skills/hr/screen")
    assert folder_of("hr/none", skills_root="") is None
    assert folder_of("hr/screen", skills_root=str(tmp_path / "skills")) == tmp_path / "skills" / "hr" / "screen"


def test_a_plan_says_what_would_run(tmp_path: Path) -> None:
    python = load_skill(create_skill(tmp_path / "skills", "hr/screen").folder)
    markdown = load_skill(create_skill(tmp_path / "skills", "hr/talk", lang="markdown").folder)

    def rows(skill: Any, **more: Any) -> dict[str, str]:
        plan = RunPlan(skill=skill.id, revision="r", digest="d", spec=skill.spec, place="a sandbox", **more)
        return dict(plan.rows())

    assert rows(python)["Runs"] == "code/handler.py (python) in a sandbox"
    assert rows(python)["Class"].startswith("inline")
    assert "Model" not in rows(python)
    talk = rows(markdown, model_problem="set X", recorded=False)
    assert talk["Runs"] == "the agent loop over SKILL.md"
    assert "chosen by routing, then gpt-4o-mini" in talk["Model"]
    assert talk["Missing"] == "set X"
    assert talk["Recorded"] == "no"


def test_when_a_key_ends() -> None:
    from datetime import UTC, datetime

    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert expiry("30d", now=now) == "2026-01-31T00:00:00.000Z"
    assert expiry("never", now=now) is None
    for wrong in ("soon", "0s", "-1d"):
        with pytest.raises(ValueError, match="--expires"):
            expiry(wrong, now=now)
