"""Field ownership of whole objects: what counts as owned, and how it travels in `metadata.managedFields`."""

from collections.abc import Mapping
from typing import Any

from aspora.apis.kind import Kind
from aspora.gateway.objects.hidden import mask
from aspora.meta.field_sets import Fields
from aspora.meta.managed_fields import (
    ALGEBRA,
    Ownership,
    after_update,
    ownership_wire,
    read_ownership,
)
from aspora.store.interface import Wire

FIELD = "managedFields"

OWNED_METADATA = ("labels", "annotations", "ownerReferences", "finalizers")
_NOT_OWNED = frozenset({"apiVersion", "kind", "metadata", "status"})


def tracked(kind: Kind, obj: Mapping[str, Any]) -> dict[str, Any]:
    """The part whose fields have owners: what people may say, less the object's identity, status and hidden fields.

    The spec of a kind that never changes is left out: there is nothing to come to blows over.
    """
    seen = mask(kind, obj)
    metadata: Any = seen.get("metadata")
    said = metadata if isinstance(metadata, Mapping) else {}
    parts = {k: v for k, v in seen.items() if k not in _NOT_OWNED and not (kind.immutable_spec and k == "spec")}
    parts["metadata"] = {k: said[k] for k in OWNED_METADATA if said.get(k)}
    return {k: v for k, v in parts.items() if v not in (None, {})}


def fields_said(kind: Kind, given: Mapping[str, Any]) -> Fields:
    """All fields that a sender gives a value to."""
    return ALGEBRA.fields_of(tracked(kind, given))


def ownership_of(obj: Mapping[str, Any]) -> Ownership:
    """Who owns what of a stored object."""
    return read_ownership(obj["metadata"].get(FIELD))


def as_owned(obj: Wire, ownership: Ownership) -> Wire:
    """The object with this ownership, and none that its sender wrote there."""
    metadata = {k: v for k, v in obj["metadata"].items() if k != FIELD}
    if ownership:
        metadata[FIELD] = ownership_wire(ownership)
    return {**obj, "metadata": metadata}


def without_claims(given: Mapping[str, Any], old: Wire | None) -> dict[str, Any]:
    """What a sender gives, with the stored ownership in place of theirs: nobody but the server writes it."""
    metadata = {k: v for k, v in given["metadata"].items() if k != FIELD}
    if old is not None and FIELD in old["metadata"]:
        metadata[FIELD] = old["metadata"][FIELD]
    return {**given, "metadata": metadata}


def forgets(given: Mapping[str, Any]) -> bool:
    """Whether a sender asks to forget all ownership, by one empty entry.

    An empty list asks for nothing: a client that doesn't know the field must not lose it by sending it back so.
    """
    return given["metadata"].get(FIELD) == [{}]


def updated(kind: Kind, old: Wire | None, new: Wire, given: Mapping[str, Any], *, manager: str) -> Wire:
    """The object to store after a create, a PUT or a merge patch.

    Args:
        kind: Of the object.
        old: As stored; None for a create.
        new: As admitted.
        given: As its sender gave it.
        manager: Who wrote.
    """
    if forgets(given):
        return as_owned(new, ())
    before = ownership_of(old) if old is not None else ()
    after = after_update(
        before,
        tracked(kind, old or {}),
        tracked(kind, new),
        manager=manager,
        named=fields_said(kind, given),
    )
    return as_owned(new, after)
