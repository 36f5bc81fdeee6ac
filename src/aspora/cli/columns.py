"""Text in columns: how wide it is, how it lines up, and how a table gives way to a narrow terminal."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from unicodedata import combining, east_asian_width

GAP = 3
NARROW_GAP = 2
MIN_WIDTH = 6
"""A cell that is cut keeps so much; a column that can't have it is left out."""
ELLIPSIS = "…"


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table is printed.

    Attributes:
        widths: Of the columns that are shown, from the left.
        gap: Spaces between two columns.
    """

    widths: tuple[int, ...]
    gap: int = GAP

    @property
    def total(self) -> int:
        """Columns of the terminal that a full line takes."""
        return sum(self.widths) + self.gap * (len(self.widths) - 1)


def display_width(text: str) -> int:
    """Columns a text takes on a terminal: wide East Asian characters count two, combining marks none."""
    return len(text) if text.isascii() else sum(map(_columns_of, text))


def _columns_of(char: str) -> int:
    return 1 + (east_asian_width(char) in "WF") - bool(combining(char))


def align(rows: Sequence[Sequence[str]], *, layout: Layout | None = None) -> list[str]:
    """Lines of left-aligned columns, as wide as their widest cell or as the layout says."""
    if not rows:
        return []
    shape = layout or Layout(natural_widths(rows))
    lines: list[str] = []
    for row in rows:
        cells = [cut(cell, width) for cell, width in zip(row, shape.widths, strict=False)]
        padded = [c + " " * (w - display_width(c) + shape.gap) for c, w in zip(cells, shape.widths, strict=True)]
        lines.append("".join(padded).rstrip())
    return lines


def natural_widths(rows: Sequence[Sequence[str]]) -> tuple[int, ...]:
    """The width of each column's widest cell."""
    return tuple(max(map(display_width, column)) for column in zip(*rows, strict=True))


def cut(text: str, width: int) -> str:
    """The text, ended by an ellipsis where it is wider."""
    if display_width(text) <= width:
        return text
    kept, room = "", width - 1
    for char in text:
        room -= _columns_of(char)
        if room < 0:
            break
        kept += char
    return kept + ELLIPSIS


def fit(widths: Sequence[int], *, limit: int, identity: int) -> Layout:
    """The layout of a table on a terminal that is `limit` columns wide.

    What does not fit gives way in this order: the gaps, whole columns from the right, the widest of the others, and
    only then the columns that say which row it is.

    Args:
        widths: Of the widest cells.
        limit: Columns of the terminal.
        identity: How many columns from the left name a row.
    """
    if Layout(tuple(widths)).total <= limit:
        return Layout(tuple(widths))
    shown = list(widths)
    while len(shown) > identity and _least(shown, identity=identity).total > limit:
        shown.pop()
    for columns in (range(identity, len(shown)), range(min(identity, len(shown)))):
        _shrink(shown, columns, limit=limit)
    return Layout(tuple(shown), NARROW_GAP)


def _least(widths: Sequence[int], *, identity: int) -> Layout:
    least = (w if i < identity else min(w, MIN_WIDTH) for i, w in enumerate(widths))
    return Layout(tuple(least), NARROW_GAP)


def _shrink(widths: list[int], columns: Iterable[int], *, limit: int) -> None:
    """Take from the widest of the columns until the line fits or each is at its least."""
    order = list(columns)
    for i in order:
        widths[i] = min(widths[i], limit)
    while order and Layout(tuple(widths), NARROW_GAP).total > limit:
        widest = max(order, key=widths.__getitem__)
        if widths[widest] <= MIN_WIDTH:
            return
        widths[widest] -= 1
