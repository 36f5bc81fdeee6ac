"""The runbook's tables as data: how long steps take, what delays mean, what comes next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Row: TypeAlias = dict[str, str]


class RunbookError(Exception):
    """The runbook lacks a table, a row or a number that an order needs; whoever edits it must hear of it."""


@dataclass(frozen=True, slots=True)
class Delay:
    """One delay code. Days are business days."""

    explanation: str
    adds_days: int
    next_step: str
    escalate_after_days: int


@dataclass(frozen=True, slots=True)
class Runbook:
    """What `references/runbook.md` says, by its tables' first columns. Days are business days."""

    handover_days: dict[str, int]
    travel_days: dict[str, int]
    delays: dict[str, Delay]
    status_words: dict[str, str]
    next_steps: dict[str, str]


def read_runbook(text: str) -> Runbook:
    """Read the tables.

    Raises:
        RunbookError: A table is missing or a day is no number.
    """
    tables = _tables(text)
    delays = _table(tables, "Delays")
    plain = _table(tables, "Status in plain words")
    return Runbook(
        handover_days={
            row["status"]: _days(row, "days to hand-over") for row in _table(tables, "How long each step takes")
        },
        travel_days={
            row["service"]: _days(row, "business days") for row in _table(tables, "How long each service travels")
        },
        delays={row["code"]: _delay(row) for row in delays},
        status_words={row["status"]: row["what we tell"] for row in plain},
        next_steps={row["status"]: row["next step"] for row in plain},
    )


def _delay(row: Row) -> Delay:
    return Delay(row["what we tell"], _days(row, "adds days"), row["next step"], _days(row, "escalate after"))


def _days(row: Row, column: str) -> int:
    if not row[column].isdecimal():
        raise RunbookError(
            f"runbook: {column!r} of {next(iter(row.values()))!r} is {row[column]!r}, not a number of days"
        )
    return int(row[column])


def _table(tables: dict[str, list[Row]], heading: str) -> list[Row]:
    if not tables.get(heading):
        raise RunbookError(f"runbook: no table under the heading {heading!r}")
    return tables[heading]


def _tables(text: str) -> dict[str, list[Row]]:
    """Heading to the rows of the table below it, each row a dict by column title."""
    found: dict[str, list[Row]] = {}
    heading, columns = "", None
    for line in text.splitlines():
        if line.startswith("#"):
            heading, columns = line.lstrip("#").strip(), None
        elif not line.startswith("|"):
            continue
        elif columns is None:
            columns = _cells(line)
        elif not set(line) <= set("|-: "):
            found.setdefault(heading, []).append(dict(zip(columns, _cells(line), strict=True)))
    return found


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
