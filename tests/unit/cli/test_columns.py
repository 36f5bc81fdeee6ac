from hypothesis import given
from hypothesis import strategies as st

from aspora.cli.columns import ELLIPSIS, MIN_WIDTH, Layout, align, cut, display_width, fit


def test_columns_line_up_by_what_a_terminal_shows() -> None:
    lines = align([["NAME", "AGE"], ["日本", "1d"], ["e\u0301te", "2d"]])
    assert [display_width(line[: line.index(age)]) for line, age in zip(lines, ["AGE", "1d", "2d"], strict=True)] == [
        7
    ] * 3


@given(st.text(), st.integers(1, 40))
def test_what_is_cut_is_as_wide_as_asked_at_most(text: str, width: int) -> None:
    shown = cut(text, width)
    assert shown == text or (display_width(shown) <= width and shown.endswith(ELLIPSIS))


def test_what_fits_is_left_alone() -> None:
    assert fit([10, 20, 5], limit=41, identity=2) == Layout((10, 20, 5), 3)


def test_the_gaps_give_way_first_then_columns_then_the_widest() -> None:
    assert fit([10, 20, 5], limit=40, identity=2) == Layout((10, 20, 5), 2)
    assert fit([10, 20, 30, 30], limit=60, identity=2).widths == (10, 20, 12, 12)
    assert fit([10, 20, 30, 30], limit=45, identity=2).widths == (10, 20, 11)
    assert fit([10, 20, 30], limit=20, identity=2).widths == (9, 9)


@given(st.lists(st.integers(1, 5_000), min_size=1, max_size=12), st.integers(1, 200), st.integers(1, 2))
def test_a_line_fits_whenever_its_names_can(widths: list[int], limit: int, identity: int) -> None:
    layout = fit(widths, limit=limit, identity=identity)
    names = [min(w, MIN_WIDTH) for w in widths[:identity]]
    assert len(layout.widths) >= len(names)
    assert layout.total <= max(limit, Layout(tuple(names), 2).total)
    assert all(shown <= width for shown, width in zip(layout.widths, widths, strict=False))
