"""The two forms for people: rows of `get` and sections of `describe`, made on the server so that clients stay thin."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aspora.apis.kind import Column, Section
from aspora.meta.errors import API_VERSION

Wire = Mapping[str, Any]

_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60))


@dataclass(frozen=True, slots=True)
class TableForm:
    """How rows of one sort are printed.

    Attributes:
        columns: In order; each sees the whole object.
        now: For ages.
    """

    columns: tuple[Column, ...]

    def definitions(self) -> list[dict[str, Any]]:
        """The headings."""
        return [{"name": c.name, "wide": c.wide} for c in self.columns]

    def row(self, obj: Wire) -> dict[str, Any]:
        """One object as a row; its metadata goes along for `-o name` and for watches, less who owns which field."""
        metadata = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
        return {"cells": [_cell(c, obj) for c in self.columns], "object": {"metadata": metadata}}

    def table(self, objects: Sequence[Wire], *, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """A list as a table."""
        return {
            "apiVersion": API_VERSION,
            "kind": "Table",
            "metadata": dict(metadata),
            "columnDefinitions": self.definitions(),
            "rows": [self.row(o) for o in objects],
        }


def _cell(column: Column, obj: Wire) -> str:
    try:
        return column.cell(obj)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return "<unknown>"  # one odd object, or a slip in a third party's column, must not hide all the others


def object_columns(columns: Sequence[Column], *, with_domain: bool, now: Callable[[], datetime]) -> TableForm:
    """The usual frame around a kind's own columns: (DOMAIN,) NAME … AGE."""
    front = (Column("DOMAIN", "metadata.domain"),) if with_domain else ()
    age = Column("AGE", lambda o: age_text(o["metadata"].get("creationTimestamp"), now=now()))
    return TableForm((*front, Column("NAME", "metadata.name"), *columns, age))


def age_text(since: str | None, *, now: datetime) -> str:
    """How long ago an RFC 3339 instant was, in its two largest units: `3d4h`, `12m5s`, `8s`; "" when not known."""
    if not since:
        return ""
    seconds = max(0, int((now - datetime.fromisoformat(since)).total_seconds()))
    for i, (unit, size) in enumerate(_UNITS):
        if seconds >= size:
            rest, (next_unit, next_size) = seconds % size, (*_UNITS, ("s", 1))[i + 1]
            return f"{seconds // size}{unit}" + (f"{rest // next_size}{next_unit}" if rest >= next_size else "")
    return f"{seconds}s"


def description(sections: Sequence[Section]) -> dict[str, Any]:
    """Sections on the wire; empty ones are left out."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Description",
        "sections": [{"title": s.title, "rows": [list(row) for row in s.rows]} for s in sections if s.rows],
    }


def object_sections(obj: Wire, *, now: datetime) -> tuple[list[Section], list[Section]]:
    """What every object's description begins and ends with: its metadata, its conditions."""
    meta: Mapping[str, Any] = obj["metadata"]
    rows = [("Kind", str(obj["kind"])), ("Name", str(meta["name"]))]
    if meta.get("domain"):
        rows.append(("Domain", str(meta["domain"])))
    if created := meta.get("creationTimestamp"):
        rows.append(("Created", f"{created} ({age_text(created, now=now)} ago)"))
    if deleted := meta.get("deletionTimestamp"):
        rows.append(("Deleted", f"{deleted}, held by {', '.join(meta.get('finalizers', []))}"))
    rows += [(f"Label {k}", str(v)) for k, v in sorted(meta.get("labels", {}).items())]
    rows += [(f"Annotation {k}", _first_line(str(v))) for k, v in sorted(meta.get("annotations", {}).items())]
    rows += [("Owner", f"{o['kind']} {o['name']}") for o in meta.get("ownerReferences", [])]
    rows += [("Generation", str(meta.get("generation", ""))), ("Version", str(meta.get("resourceVersion", "")))]
    return [Section("Object", tuple(rows))], [Section("Conditions", _condition_rows(obj))]


def _condition_rows(obj: Wire) -> tuple[tuple[str, str], ...]:
    conditions: Sequence[Mapping[str, Any]] = (obj.get("status") or {}).get("conditions", [])
    return tuple(
        (str(c["type"]), f"{c['status']} {c['reason']}" + (f": {c['message']}" if c.get("message") else ""))
        for c in conditions
    )


def _first_line(text: str, *, max_length: int = 120) -> str:
    line = text.split("\n", 1)[0]
    return line if line == text and len(line) <= max_length else line[:max_length] + " …"
