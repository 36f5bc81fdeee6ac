import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aspora.cli.output import Output, Progress, clean, data_rows, pairs
from aspora.cli.result import print_execution


@given(st.text())
def test_nothing_stored_can_drive_the_terminal(text: str) -> None:
    assert "\x1b" not in clean(text)
    assert "\u202e" not in clean(text)
    assert "\r" not in clean(text)


def test_no_colour_where_there_is_no_terminal() -> None:
    out = Output(io.StringIO(), io.StringIO())
    assert out.style("x", "red") == "x"
    out.table(["A", "B"], [["1", "two\nlines"]])
    out.warn("careful")
    assert out.stdout.getvalue() == "A   B\n1   two lines\n"  # type: ignore[attr-defined]
    assert out.stderr.getvalue() == "Warning: careful\n"  # type: ignore[attr-defined]


def test_pairs_keep_lines_under_their_first() -> None:
    assert pairs([("A", "x"), ("Long", "one\ntwo")]) == ["A:     x", "Long:  one", "       two"]


def test_data_reads_as_rows() -> None:
    rows = data_rows({"a": {"b": 1.50, "c": None}, "ok": True, "list": [1, "x"], "sum": 1234567.89, "deep": [{"k": 1}]})
    assert rows == [
        ("a.b", "1.5"),
        ("a.c", "-"),
        ("ok", "yes"),
        ("list", "1, x"),
        ("sum", "1234567.89"),
        ("deep[0].k", "1"),
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_table_gives_way_to_a_narrow_terminal_and_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    headings = ["DOMAIN", "NAME", "DESCRIPTION", "AGE"]
    rows = [["wealth", "create-goal", "turns a wish into a goal", "1d"]]
    narrow, piped = Output(Terminal(), io.StringIO(), no_color=True), Output(io.StringIO(), io.StringIO())
    narrow.table(headings, rows)
    assert narrow.stdout.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "DOMAIN  NAME         DESCRIPT…",
        "wealth  create-goal  turns a …",
        "too narrow for AGE",
    ]
    piped.table(headings, rows)
    assert "turns a wish into a goal   1d" in piped.stdout.getvalue()  # type: ignore[attr-defined]


def test_a_bar_is_drawn_on_a_terminal_alone_and_leaves_nothing() -> None:
    for stream, drawn in ((Terminal(), True), (io.StringIO(), False)):
        with Progress(Output(io.StringIO(), stream), total=2, title="applying") as progress:
            progress.step("one")
        assert ("applying" in stream.getvalue()) is drawn
        assert stream.getvalue().endswith("\r\x1b[2K" if drawn else "")


def test_a_result_can_not_drive_the_terminal_either() -> None:
    out = Output(io.StringIO(), io.StringIO())
    execution = {
        "metadata": {"name": "EXEC-1"},
        "spec": {"revision": "r", "class": "inline"},
        "status": {"state": "Succeeded", "result": {"message": "a\x1b[2J", "data": {"k": "\x07"}}, "durationMs": 3.0},
    }
    print_execution(out, execution)
    text = out.stdout.getvalue()  # type: ignore[attr-defined]
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "aspora logs EXEC-1" in text


@pytest.mark.parametrize(("success", "says"), [(True, False), (False, True)])
def test_a_skill_that_says_that_it_could_not_is_told_apart(success: bool, says: bool) -> None:
    out = Output(io.StringIO(), io.StringIO())
    execution = {
        "metadata": {"name": "EXEC-1"},
        "spec": {"revision": "r", "class": "inline"},
        "status": {"state": "Succeeded", "result": {"message": "m", "success": success}, "durationMs": 3.0},
    }
    print_execution(out, execution)
    text = out.stdout.getvalue()  # type: ignore[attr-defined]
    assert ("success is false" in text) is says
