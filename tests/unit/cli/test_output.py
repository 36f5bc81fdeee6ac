import io

from hypothesis import given
from hypothesis import strategies as st

from aspora.cli.output import Output, align, clean, data_rows, display_width, pairs


def test_columns_line_up_by_what_a_terminal_shows() -> None:
    lines = align([["NAME", "AGE"], ["日本", "1d"], ["e\u0301te", "2d"]])
    assert [display_width(line[: line.index(age)]) for line, age in zip(lines, ["AGE", "1d", "2d"], strict=True)] == [
        7
    ] * 3


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
    rows = data_rows({"a": {"b": 1.50, "c": None}, "ok": True, "list": [1, "x"], "deep": [{"k": 1}]})
    assert rows == [("a.b", "1.5"), ("a.c", "-"), ("ok", "yes"), ("list", "1, x"), ("deep[0].k", "1")]
