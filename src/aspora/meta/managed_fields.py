"""Who owns which field of an object: the pure part of server-side apply.

A manager is a name: a person's tool, a controller. What it *applies* it means to keep: a later apply that leaves a
field out removes it, unless somebody else owns it too. What it *updates* (create, PUT, merge patch) it owns as far as
it changed it. To apply another value than a field's owner gave is a conflict, unless forced; to apply the same value is
to own it together. One name is one opinion: a manager never conflicts with itself.

Source: Kubernetes KEP-555 (server-side apply); where this differs, docs/adr/0010 says so.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from aspora.meta.field_sets import NOTHING, Changes, FieldAlgebra, Fields, ListRule, Path, from_tree, prefixes, to_tree

Operation = Literal["Apply", "Update"]

BEFORE_FIRST_APPLY = "before-first-apply"
"""Owns what an object without any ownership held when somebody first applied or changed something."""

SHIPPED = "system:start"
"""Brings along what a release ships. That is a proposal: whoever applies something else has it without a conflict."""

ANCIENT_CHANGES = "ancient-changes"
"""Owns what the oldest updaters owned, when there are too many to name."""

MAX_UPDATERS = 10
MAX_ENTRIES = 64
MAX_MANAGED_BYTES = 256 * 1024

ALGEBRA = FieldAlgebra(
    {
        ("f:metadata", "f:finalizers"): ListRule(),
        ("f:metadata", "f:ownerReferences"): ListRule(("uid",)),
    }
)
"""Of every object: several managers share its finalizers and its owners, item by item."""


@dataclass(frozen=True, slots=True)
class Managed:
    """What one manager owns by one sort of operation."""

    manager: str
    operation: Operation
    fields: Fields

    def to_wire(self) -> dict[str, Any]:
        """As an entry of `metadata.managedFields`."""
        return {"manager": self.manager, "operation": self.operation, "fields": to_tree(self.fields)}


Ownership = tuple[Managed, ...]
"""All entries; the one that changed last stands last."""


@dataclass(frozen=True, slots=True)
class FieldConflict:
    """A field that others own with another value."""

    path: Path
    managers: tuple[str, ...]


def read_ownership(entries: Any) -> Ownership:
    """From `metadata.managedFields`; an entry that can't be read owns nothing."""
    found: list[Managed] = []
    for entry in cast("Sequence[Any]", entries) if isinstance(entries, list) else ():
        match entry:
            case {"manager": str(manager), "operation": "Apply" | "Update" as operation, "fields": Mapping() as tree}:
                found.append(Managed(manager, operation, from_tree(cast("Mapping[str, Any]", tree))))
            case _:
                pass
    return _tidy(found)


def ownership_wire(ownership: Ownership) -> list[dict[str, Any]]:
    """As `metadata.managedFields`."""
    return [entry.to_wire() for entry in ownership]


def known_or_unclaimed(ownership: Ownership, live: Mapping[str, Any]) -> Ownership:
    """The ownership, or for an object without any: that all it holds was there before."""
    if ownership:
        return ownership
    return _tidy([Managed(BEFORE_FIRST_APPLY, "Update", ALGEBRA.fields_of(live))])


def after_update(
    ownership: Ownership, old: Mapping[str, Any], new: Mapping[str, Any], *, manager: str, named: Fields
) -> Ownership:
    """Who owns what once the manager made `new` of `old`; the same when nothing changed.

    Args:
        ownership: As before; nobody's for a create.
        old: Empty for a create.
        new: As it will be stored.
        manager: Who wrote.
        named: What they said. Defaults that the server filled in belong to nobody.
    """
    changes = ALGEBRA.compare(old, new)
    if not changes.changed and not changes.removed:
        return ownership
    rest = [_without_touched(entry, changes) for entry in known_or_unclaimed(ownership, old)]
    mine = _entry(rest, manager, "Update").fields | (changes.changed & named)
    return _capped(_with_entry(rest, Managed(manager, "Update", mine)))


def merge_applied(
    ownership: Ownership, live: Mapping[str, Any], applied: Mapping[str, Any], *, manager: str
) -> Mapping[str, Any]:
    """The live object as the manager wants it: what they apply put in, what they apply no more taken out."""
    theirs = _fields(entry for entry in ownership if entry.manager != manager)
    dropped = _entry(ownership, manager, "Apply").fields - ALGEBRA.fields_of(applied) - theirs
    return ALGEBRA.merge(ALGEBRA.without(live, dropped, kept=theirs), applied)


def conflicts(
    ownership: Ownership, live: Mapping[str, Any], new: Mapping[str, Any], *, manager: str, applied: Fields
) -> list[FieldConflict]:
    """Every field that the apply would take from somebody else.

    Args:
        ownership: As before.
        live: The object now.
        new: As it would be stored.
        manager: Who applies.
        applied: What they name. What admission changes besides is the platform's word, and nobody's conflict.
    """
    changes = ALGEBRA.compare(live, new)
    said = prefixes(applied)
    owners: dict[Path, list[str]] = {}
    for entry in ownership:
        if entry.manager in {manager, SHIPPED}:
            continue
        for path in changes.touches(entry.fields):
            if any(path[:length] in applied for length in range(1, len(path) + 1)) or path in said:
                owners.setdefault(path, []).append(entry.manager)
    return [FieldConflict(path, tuple(sorted(set(owners[path])))) for path in sorted(owners)]


def after_apply(
    ownership: Ownership, live: Mapping[str, Any], new: Mapping[str, Any], *, manager: str, applied: Fields
) -> Ownership:
    """Who owns what once the manager applied; fields that changed hands leave their former owners."""
    changes = ALGEBRA.compare(live, new)
    present = prefixes(ALGEBRA.fields_of(new))
    mine = applied & present
    rest = [_without_touched(entry, changes) for entry in ownership]
    rest = [_yielding(entry, manager, mine) for entry in rest]
    return _capped(_with_entry(rest, Managed(manager, "Apply", mine)))


def is_too_large(ownership: Ownership) -> bool:
    """Whether an object may not carry it."""
    return len(ownership) > MAX_ENTRIES or _size(ownership) > MAX_MANAGED_BYTES


def _yielding(entry: Managed, manager: str, taken: Fields) -> Managed:
    """An update is one's own earlier word; what was before the first apply, or shipped, has nobody to speak for it."""
    gives_way = entry.operation == "Update" and entry.manager in {manager, BEFORE_FIRST_APPLY, SHIPPED}
    return replace(entry, fields=entry.fields - taken) if gives_way else entry


def _without_touched(entry: Managed, changes: Changes) -> Managed:
    touched = changes.touches(entry.fields)
    return replace(entry, fields=entry.fields - touched) if touched else entry


def _entry(entries: Iterable[Managed], manager: str, operation: Operation) -> Managed:
    for entry in entries:
        if entry.manager == manager and entry.operation == operation:
            return entry
    return Managed(manager, operation, NOTHING)


def _with_entry(entries: Sequence[Managed], new: Managed) -> Ownership:
    """The entries with one replaced; it moves to the end only when it says something new."""
    old = _entry(entries, new.manager, new.operation)
    if old.fields == new.fields:
        return _tidy(entries)
    rest = [e for e in entries if (e.manager, e.operation) != (new.manager, new.operation)]
    return _tidy([*rest, new])


def _capped(ownership: Ownership) -> Ownership:
    """Not too many updaters, oldest first into one; and when the whole is too large, updates belong to nobody."""
    updaters = [entry for entry in ownership if entry.operation == "Update" and entry.manager != ANCIENT_CHANGES]
    old = updaters[:-MAX_UPDATERS]
    if old:
        ancient = _entry(ownership, ANCIENT_CHANGES, "Update").fields | _fields(old)
        rest = [e for e in ownership if e not in old and e.manager != ANCIENT_CHANGES]
        ownership = _tidy([Managed(ANCIENT_CHANGES, "Update", ancient), *rest])
    if _size(ownership) > MAX_MANAGED_BYTES:
        return tuple(entry for entry in ownership if entry.operation == "Apply")
    return ownership


def _tidy(entries: Iterable[Managed]) -> Ownership:
    return tuple(entry for entry in entries if entry.fields)


def _fields(entries: Iterable[Managed]) -> Fields:
    return NOTHING.union(*(entry.fields for entry in entries))


def _size(ownership: Ownership) -> int:
    return len(json.dumps(ownership_wire(ownership), ensure_ascii=False, separators=(",", ":")).encode())
