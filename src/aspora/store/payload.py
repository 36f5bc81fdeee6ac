"""From a wanted write to the item that `aspora_write_objects` takes: what a client may say."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, cast

from aspora.meta.errors import API_VERSION, FieldError, Invalid
from aspora.meta.surroundings import Needs
from aspora.store.interface import Key, Wire, Write

SERVER_OWNED = frozenset({"uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp"})
"""Metadata that only the store sets."""

MAX_NAME_BYTES = 253

_LEFT_OUT_WHEN_EMPTY = frozenset({"labels", "annotations", "ownerReferences", "finalizers", "managedFields"})


def payload(write: Write, *, uid: str, at: str) -> dict[str, Any]:
    """The item for one write.

    Args:
        write: What is wanted.
        uid: The new object's, when it is a create.
        at: RFC 3339 instant of creation or deletion; no matter for an update.

    Raises:
        Invalid: The database could not select by it.
    """
    key = write.key
    _check_key(key)
    item: dict[str, Any] = {"op": write.op, "kind": key.kind, "domain": key.domain, "name": key.name, "at": at}
    item |= _conditions(write)
    if write.audit is not None:
        item["audit"] = write.audit
    if write.op == "create":
        item["uid"] = uid
    if write.op == "delete" and write.finalizer is not None:
        item["finalizer"] = write.finalizer
    if write.op != "delete":
        item["object"] = _status_of(write) if write.op == "update_status" else _desired(write)
    return item


def _conditions(write: Write) -> dict[str, Any]:
    needs = [asdict(s) for s in write.surroundings if isinstance(s, Needs)]
    unless_held = [asdict(s) for s in write.surroundings if not isinstance(s, Needs)]
    all_of_them = {
        "expectedVersion": write.expected_version,
        "expectedUid": write.expected_uid,
        "livesIn": write.lives_in and asdict(write.lives_in),
        "emptyDomain": write.empty_domain,
        "leader": write.leader and asdict(write.leader),
        "needs": needs or None,
        "unlessHeld": unless_held or None,
    }
    return {name: value for name, value in all_of_them.items() if value is not None}


def _status_of(write: Write) -> dict[str, Any]:
    status = _given(write).get("status")
    return {} if status is None else {"status": status}


def _desired(write: Write) -> dict[str, Any]:
    """All but the status, with the identity that the key says."""
    given, key = _given(write), write.key
    kept = {k: v for k, v in given.items() if v is not None and k not in {"status", "metadata"}}
    return {"apiVersion": API_VERSION, **kept, "kind": key.kind, "metadata": _metadata(given, key)}


def _metadata(given: Wire, key: Key) -> dict[str, Any]:
    said: Mapping[str, Any] = given.get("metadata") or {}
    metadata = {
        k: v
        for k, v in said.items()
        if v is not None and k not in SERVER_OWNED and not (k in _LEFT_OUT_WHEN_EMPTY and len(v) == 0)
    }
    labels = metadata.get("labels", {})
    if not isinstance(labels, Mapping) or not _are_texts(cast("Mapping[Any, Any]", labels).values()):
        raise _invalid(key, FieldError("metadata.labels", "must be a map of texts"))
    finalizers = metadata.get("finalizers", [])
    if not isinstance(finalizers, list) or not _are_texts(cast("list[Any]", finalizers)):
        raise _invalid(key, FieldError("metadata.finalizers", "must be a list of texts"))
    metadata.pop("domain", None)
    return {**metadata, "name": key.name, **({"domain": key.domain} if key.domain else {})}


def _given(write: Write) -> Wire:
    if write.object is None:
        raise _invalid(write.key, FieldError("", f"a write of the sort {write.op!r} needs an object"))
    return write.object


def _are_texts(values: Any) -> bool:
    return all(isinstance(value, str) for value in values)


def _check_key(key: Key) -> None:
    for field, text in (("kind", key.kind), ("metadata.name", key.name), ("metadata.domain", key.domain)):
        if (not text and text is not key.domain) or len(text.encode("utf-8", "replace")) > MAX_NAME_BYTES:
            raise _invalid(key, FieldError(field, f"must have 1 to {MAX_NAME_BYTES} bytes"))


def _invalid(key: Key, problem: FieldError) -> Invalid:
    return Invalid(f"{key.kind[:80]} {key.name[:80]!r} can't be stored: {problem}", details=[problem])
