"""Server-side apply: a manager says all it wants of an object, and the server works out the change.

Source: Kubernetes server-side apply; the algorithm is `aspora.meta.managed_fields`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aspora.access.authorize import authorize
from aspora.access.interface import Caller
from aspora.apis.kind import Kind
from aspora.gateway.objects.ownership import FIELD, OWNED_METADATA, as_owned, fields_said, ownership_of, tracked
from aspora.gateway.objects.resources import Target, require_place, require_verb
from aspora.gateway.objects.writes import WRITE_ATTEMPTS, ObjectWrites, Written, identified, require_current
from aspora.gateway.origin import Origin
from aspora.meta.errors import AlreadyExists, Conflict, FieldError, Invalid, NotFound, StatusError, TooLarge
from aspora.meta.field_sets import Fields, shown
from aspora.meta.managed_fields import (
    MAX_ENTRIES,
    MAX_MANAGED_BYTES,
    FieldConflict,
    Ownership,
    after_apply,
    conflicts,
    is_too_large,
    known_or_unclaimed,
    merge_applied,
)
from aspora.meta.names import quoted
from aspora.store.interface import Wire

APPLY_PATCH_TYPE = "application/apply-patch+json"
CONFLICT_REASON = "FieldManagerConflict"
_NAMED_AT_MOST = 3


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of an apply; `is_new` when it made the object."""

    written: Written
    is_new: bool


@dataclass(frozen=True, slots=True)
class _Intent:
    """What one manager wants of one object."""

    manager: str
    given: Mapping[str, Any]
    fields: Fields
    force: bool


class ObjectApplies:
    """Applies over the one way by which objects change."""

    def __init__(self, writes: ObjectWrites) -> None:
        self._writes = writes

    async def apply(
        self,
        caller: Caller,
        target: Target,
        given: Mapping[str, Any],
        *,
        origin: Origin,
        force: bool,
        dry_run: bool,
    ) -> Applied:
        """Create the object or merge what is given into it; a race with another write is run again.

        Raises:
            Conflict: Others own fields with other values (details name each field and its owners), or the object is
                not at the resourceVersion given.
            Invalid: The object is wrong in itself, or says what an apply can't say.
        """
        require_verb(target, "patch")
        require_place(target)
        authorize(caller, "patch", target.plural, target.domain, target.name)
        obj, target = identified(given, target)
        _check(obj)
        intent = _Intent(origin.manager_of(caller), obj, fields_said(target.kind, obj), force)
        is_pinned = "resourceVersion" in obj["metadata"]
        for attempt in range(WRITE_ATTEMPTS):
            old = await self._writes.find(target)
            try:
                if old is None:
                    written = await self._create(caller, target, intent, origin=origin, dry_run=dry_run)
                else:
                    require_current(old, obj, required=False)
                    written = await self._merge(caller, target, old, intent, origin=origin, dry_run=dry_run)
                return Applied(written, is_new=old is None)
            except (AlreadyExists, Conflict, NotFound) as error:
                if is_pinned or attempt == WRITE_ATTEMPTS - 1 or not _is_race(error, existed=old is not None):
                    raise
        raise AssertionError("the last attempt returns or raises")

    async def _create(
        self, caller: Caller, target: Target, intent: _Intent, *, origin: Origin, dry_run: bool
    ) -> Written:
        if {"resourceVersion", "uid"} & set(intent.given["metadata"]):
            raise Conflict(
                f"{target.kind.kind} {target.key.name!r} does not exist, and the apply is based on a form of it;"
                " leave resourceVersion and uid out to create it"
            )

        def owned(new: Wire) -> Wire:
            return as_owned(new, _after((), {}, tracked(target.kind, new), intent))

        return await self._writes.create(
            caller, target, intent.given, dry_run=dry_run, origin=origin, verb="apply", owned=owned
        )

    async def _merge(
        self, caller: Caller, target: Target, old: Wire, intent: _Intent, *, origin: Origin, dry_run: bool
    ) -> Written:
        kind = target.kind
        live = tracked(kind, old)
        before = known_or_unclaimed(ownership_of(old), live)
        merged = merge_applied(before, live, tracked(kind, intent.given), manager=intent.manager)

        def owned(new: Wire) -> Wire:
            final = tracked(kind, new)
            found = conflicts(before, live, final, manager=intent.manager, applied=intent.fields)
            if found and not intent.force:
                raise _conflict(target, found)
            return as_owned(new, _after(before, live, final, intent))

        wanted = _put_into(kind, old, merged, intent.given)
        return await self._writes.replace(
            caller, target, old, wanted, dry_run=dry_run, origin=origin, verb="apply", owned=owned
        )


def _is_race(error: StatusError, *, existed: bool) -> bool:
    """Whether somebody wrote between the look and the write."""
    return (
        isinstance(error, (Conflict, NotFound)) and not error.details if existed else isinstance(error, AlreadyExists)
    )


def _check(obj: Mapping[str, Any]) -> None:
    """Refuse what an apply can't say.

    Raises:
        Invalid: With every such field.
    """
    problems: list[FieldError] = []
    if obj.get("status") is not None:
        where = "is written by PUT at the object's own path followed by /status; leave it out"
        problems.append(FieldError("status", where, "Immutable"))
    if obj["metadata"].get(FIELD):
        problems.append(
            FieldError(f"metadata.{FIELD}", "is the server's answer to an apply; leave it out", "Immutable")
        )
    if problems:
        raise Invalid("; ".join(f"an apply can't say {p.field}: it {p.message}" for p in problems), details=problems)


def _put_into(kind: Kind, old: Wire, merged: Mapping[str, Any], given: Mapping[str, Any]) -> Wire:
    """The whole object with its merged part."""
    metadata = {k: v for k, v in old["metadata"].items() if k not in OWNED_METADATA}
    whole = {"apiVersion": given.get("apiVersion", old["apiVersion"]), "kind": old["kind"], **merged}
    whole.setdefault("spec", given.get("spec", old["spec"]) if kind.immutable_spec else {})
    return {**whole, "metadata": {**metadata, **merged.get("metadata", {})}}


def _after(before: Ownership, live: Wire, final: Wire, intent: _Intent) -> Ownership:
    """The ownership once applied.

    Raises:
        TooLarge: An object may not carry so much of it.
    """
    after = after_apply(before, live, final, manager=intent.manager, applied=intent.fields)
    if is_too_large(after):
        raise TooLarge(
            f"the record of who owns which field would pass {MAX_MANAGED_BYTES} bytes or {MAX_ENTRIES} managers;"
            " apply fewer fields, or let managers that are gone give theirs up by applying an object without fields"
        )
    return after


def _conflict(target: Target, found: Sequence[FieldConflict]) -> Conflict:
    """One detail a field, and a message that names the first few."""
    details = [
        FieldError(
            shown(conflict.path),
            f"is owned by {' and '.join(quoted(manager) for manager in conflict.managers)} with another value",
            CONFLICT_REASON,
        )
        for conflict in found
    ]
    first = "; ".join(f"{detail}" for detail in details[:_NAMED_AT_MOST])
    more = f"; and {len(details) - _NAMED_AT_MOST} more" if len(details) > _NAMED_AT_MOST else ""
    count = "1 field has" if len(details) == 1 else f"{len(details)} fields have"
    return Conflict(
        f"{target.kind.kind} {target.key.name!r}: {count} another owner: {first}{more};"
        " leave them out, give them the owner's value, or force the apply to take them over",
        details=details,
    )
