"""What people see: tables, results, warnings, progress. Colour only on a terminal; errors and progress on stderr."""

import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TextIO

from aspora.cli.columns import Layout, align, cut, display_width, fit, natural_widths

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}


def clean(text: str) -> str:
    """Control characters made visible, so that no stored text can drive the terminal."""
    return "".join(
        c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf") else f"\\x{ord(c):02x}" for c in text
    )


class Output:
    """The two streams, and what may be printed on them."""

    def __init__(
        self, stdout: TextIO | None = None, stderr: TextIO | None = None, *, no_color: bool | None = None
    ) -> None:
        self.stdout = stdout or sys.stdout
        self.stderr = stderr or sys.stderr
        plain = bool(os.environ.get("NO_COLOR")) if no_color is None else no_color
        dumb = os.environ.get("TERM") == "dumb"
        self._color_out = not plain and not dumb and self.stdout.isatty()
        self._color_err = not plain and not dumb and self.stderr.isatty()

    def style(self, text: str, name: str) -> str:
        """The text in a style, when standard output is a terminal."""
        return f"\x1b[{_STYLES[name]}m{text}\x1b[0m" if self._color_out else text

    def line(self, text: str = "") -> None:
        """One line on standard output."""
        self.stdout.write(text + "\n")

    def note(self, text: str) -> None:
        """One line on standard error: progress, hints; what was printed before stays before it when both are piped."""
        with suppress(OSError):  # It is flushed once more at the end, where this is told.
            self.stdout.flush()
        self.stderr.write(text + "\n")
        self.stderr.flush()

    def warn(self, text: str) -> None:
        """A warning on standard error."""
        label = "\x1b[33mWarning:\x1b[0m" if self._color_err else "Warning:"
        self.note(f"{label} {text}")

    def error(self, text: str) -> None:
        """An error on standard error."""
        label = "\x1b[31mError:\x1b[0m" if self._color_err else "Error:"
        self.note(f"{label} {text}")

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Aligned columns under a heading; cut to its width where standard output is a terminal, else never."""
        cells = [list(headings), *[[clean(c).replace("\n", " ") for c in row] for row in rows]]
        widths = natural_widths(cells)
        layout = fit(widths, limit=self.width, identity=_identity(headings)) if self.stdout.isatty() else Layout(widths)
        first, *others = align(cells, layout=layout)
        self.line(self.style(first, "bold"))
        for text in others:
            self.line(text)
        if hidden := headings[len(layout.widths) :]:
            self.line(self.style(cut(f"too narrow for {', '.join(hidden)}", self.width), "dim"))

    def json(self, value: Any) -> None:
        """Indented JSON."""
        self.line(json.dumps(value, indent=2, ensure_ascii=False))

    @property
    def width(self) -> int:
        """Columns of the terminal; 100 where there is none."""
        return shutil.get_terminal_size((100, 24)).columns

    @property
    def interactive(self) -> bool:
        """Whether standard error is a terminal, so that progress may be drawn."""
        return self.stderr.isatty()


def _identity(headings: Sequence[str]) -> int:
    """How many columns say which row it is: all up to the name, else the first."""
    return list(headings).index("NAME") + 1 if "NAME" in headings else 1


class Progress:
    """A progress bar on standard error, drawn only on a terminal; elsewhere it stays silent.

    Use as a context manager and call `step(label)` once for each finished part; `total` may be set when it is known.
    """

    def __init__(self, out: Output, *, total: int, title: str) -> None:
        self._out, self.total, self._title, self._done = out, total, title, 0

    def __enter__(self) -> "Progress":
        self._draw("")
        return self

    def step(self, label: str) -> None:
        """One part is finished."""
        self._done += 1
        self._draw(label)

    def _draw(self, label: str) -> None:
        if not self._out.interactive or self.total == 0:
            return
        filled = round(24 * self._done / self.total)
        bar = "━" * filled + "╌" * (24 - filled)
        text = f"{self._title} {bar} {self._done}/{self.total} {label}"
        self._out.stderr.write("\r\x1b[2K" + text[: self._out.width - 1])
        self._out.stderr.flush()

    def clear(self) -> None:
        """Take the bar off the screen, so that something can be printed; the next step draws it again."""
        if self._out.interactive and self.total:
            self._out.stderr.write("\r\x1b[2K")
            self._out.stderr.flush()

    def __exit__(self, *_: object) -> None:
        self.clear()


def pairs(rows: Iterable[tuple[str, str]], *, indent: int = 0) -> list[str]:
    """`Label:  text` lines, aligned; lines of a longer text stand under its first."""
    items = [(label + ":", clean(text)) for label, text in rows]
    width = max((display_width(label) for label, _ in items), default=0) + 2
    lines: list[str] = []
    for label, text in items:
        first, *rest = text.split("\n") or [""]
        lines.append((" " * indent + label + " " * (width - display_width(label)) + first).rstrip())
        lines.extend((" " * (indent + width) + more).rstrip() for more in rest)
    return lines


MAX_EXPANDED_ITEMS = 10
"""Longer lists of maps are shown as JSON."""


def data_rows(data: Mapping[str, Any], *, prefix: str = "") -> list[tuple[str, str]]:
    """Nested result data as (dotted name, text) rows for people."""
    rows: list[tuple[str, str]] = []
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            rows += data_rows(value, prefix=f"{name}.")
        elif isinstance(value, list) and value and all(not isinstance(v, (Mapping, list)) for v in value):
            rows.append((name, ", ".join(_scalar(v) for v in value)))
        elif isinstance(value, list) and 0 < len(value) <= MAX_EXPANDED_ITEMS:
            rows += data_rows({f"{name}[{i}]": item for i, item in enumerate(value)})
        elif isinstance(value, (Mapping, list)):
            rows.append((name, json.dumps(value, ensure_ascii=False)))
        else:
            rows.append((name, _scalar(value)))
    return rows


def _scalar(value: Any) -> str:
    if value is None:
        return "-"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
