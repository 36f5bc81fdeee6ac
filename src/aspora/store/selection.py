"""Which objects a list or watch is about: in SQL for lists, in memory for events. Both say the same."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aspora.meta.selectors import Requirement, matches_fields, matches_labels
from aspora.store.interface import Event, Wire

NAME_PATH, DOMAIN_PATH = "metadata.name", "metadata.domain"
_OPERATORS = {"=": "in", "in": "in", "!=": "notin", "notin": "notin", "exists": "exists", "!": "absent"}


@dataclass(frozen=True, slots=True)
class Change:
    """One row of the event log.

    Attributes:
        previous: The form before; None for ADDED.
        size_bytes: About what it takes to keep the change; 0 when that doesn't matter.
    """

    version: int
    kind: str
    domain: str
    type: str
    object: Wire
    previous: Wire | None
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Selection:
    """Objects of one kind; see `Store.list` for the parts."""

    kind: str
    domain: str | None = None
    labels: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()

    def matches(self, obj: Wire) -> bool:
        """Whether an object of the right kind and domain satisfies the selectors."""
        metadata = obj["metadata"]
        return matches_labels(self.labels, metadata.get("labels") or {}) and matches_fields(self.fields, obj)

    @property
    def is_whole(self) -> bool:
        """Whether every object of the kind and domain is in it: then all such watchers hear the same event."""
        return not self.labels and not self.fields

    def event_of(self, change: Change) -> Event | None:
        """What a watcher of the selection hears of a change; None when it isn't theirs."""
        if change.kind != self.kind or self.domain not in {None, change.domain}:
            return None
        was_in = change.previous is not None and self.matches(change.previous)
        if change.type == "DELETED":
            return Event("DELETED", change.object) if was_in else None
        if self.matches(change.object):
            return Event("MODIFIED" if was_in else "ADDED", change.object)
        return Event("DELETED", _at_version(change.previous, change.version)) if change.previous and was_in else None

    def digest(self) -> str:
        """Tells queries apart, for continue tokens."""
        parts = [self.kind, self.domain, *([r.key, r.operator, r.values] for r in (*self.labels, *self.fields))]
        return hashlib.sha256(json.dumps([len(self.labels), *parts]).encode()).hexdigest()[:16]

    def to_sql(self) -> dict[str, Any]:
        """The parameters of `list_objects` that choose objects: columns and the label index first, then the terms."""
        domains = [_choices(r) for r in self.fields if _is_choice(r, DOMAIN_PATH)]
        if self.domain is not None:
            domains.append({self.domain})
        equal_labels = {r.key: r.values[0] for r in self.labels if r.operator == "="}
        terms = [
            _term(("metadata", "labels", r.key), r)
            for r in self.labels
            if r.operator != "=" or equal_labels[r.key] != r.values[0]
        ]
        terms += [
            _term(r.key.split("."), r)
            for r in self.fields
            if not _is_choice(r, DOMAIN_PATH) and not _is_choice(r, NAME_PATH)
        ]
        return {
            "kind": self.kind,
            "domains": _common(domains),
            "names": _common([_choices(r) for r in self.fields if _is_choice(r, NAME_PATH)]),
            "equal_labels": json.dumps(equal_labels),
            "terms": json.dumps(terms),
        }


def _is_choice(requirement: Requirement, key: str) -> bool:
    return requirement.key == key and requirement.operator in {"=", "in"}


def _choices(requirement: Requirement) -> set[str]:
    """What a column may be; an object without a domain has none, not the empty one."""
    return set(requirement.values) - {""}


def _common(sets: Sequence[set[str]]) -> list[str] | None:
    """What lies in every set; None when there is no set, so no limit."""
    return sorted(set.intersection(*sets)) if sets else None


def _term(path: Sequence[str], requirement: Requirement) -> dict[str, Any]:
    """A term of `aspora_object_matches`."""
    return {
        "path": "strict $" + "".join(f".{json.dumps(part)}" for part in path),
        "operator": _OPERATORS[requirement.operator],
        "wanted": list(requirement.values),
    }


def _at_version(obj: Wire, version: int) -> Wire:
    return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(version)}}
