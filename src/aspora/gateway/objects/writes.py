"""create, update, patch, status and delete for every kind: check who asks, admit, write once.

A dry run takes the whole path and stops before the store's write.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from aspora.access.authorize import authorize
from aspora.access.interface import Caller
from aspora.admission.chain import Admitted, Chain
from aspora.admission.interface import AdmissionRequest, Operation
from aspora.client.interface import Propagation
from aspora.gateway.objects.domains import require_empty
from aspora.gateway.objects.forms_known import require_known_form
from aspora.gateway.objects.hidden import mask, restore
from aspora.gateway.objects.merge_patch import merge_patch
from aspora.gateway.objects.ownership import updated, without_claims
from aspora.gateway.objects.reads import DOMAIN_KIND, ObjectReads
from aspora.gateway.objects.resources import Resources, Target, require_place, require_verb
from aspora.gateway.objects.view import ObjectView
from aspora.gateway.origin import INSIDE, Origin
from aspora.kit.clock import Clock
from aspora.meta.errors import AlreadyExists, BadRequest, Conflict, FieldError, Invalid, NotFound
from aspora.meta.objects import PROPAGATION_FINALIZERS, rfc3339
from aspora.store.interface import Key, Store, Wire, Write
from aspora.telemetry.metrics import Metrics
from aspora.telemetry.names import ADMISSION_SECONDS, OBJECT_WRITES

WRITE_ATTEMPTS = 5

Owned = Callable[[Wire], Wire]
"""From an admitted object to the one to store, with its field ownership; may refuse it."""


@dataclass(frozen=True, slots=True)
class Written:
    """What the caller learns of a write.

    Attributes:
        object: As stored (or, in a dry run, as it would be), hidden fields cut out.
        warnings: From admission.
        once: Shown now and never again.
    """

    object: Wire
    warnings: Sequence[str] = ()
    once: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Preconditions:
    """What must still be true of an object when it is deleted."""

    uid: str | None = None
    resource_version: str | None = None


class ObjectWrites:
    """The one way by which objects change."""

    def __init__(
        self,
        *,
        store: Store,
        view: ObjectView,
        reads: ObjectReads,
        resources: Resources,
        admission: Chain,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._view = view
        self._reads = reads
        self._resources = resources
        self._admission = admission
        self._clock = clock
        self._writes = metrics.counter(OBJECT_WRITES)
        self._admission_seconds = metrics.histogram(ADMISSION_SECONDS)

    async def find(self, target: Target) -> Wire | None:
        """The object as stored, for those who write it; None when there is none."""
        try:
            return await self._store.get(target.key)
        except NotFound:
            return None

    async def create(
        self,
        caller: Caller,
        target: Target,
        given: Mapping[str, Any],
        *,
        dry_run: bool,
        origin: Origin = INSIDE,
        verb: str = "create",
        owned: Owned | None = None,
    ) -> Written:
        """Store a new object; its name comes from its metadata.

        Args:
            caller: Who.
            target: Where.
            given: The object.
            dry_run: Stop before the write.
            origin: Where the write comes from.
            verb: As the audit has it.
            owned: Says who owns which field; None for the caller, who owns what they gave.
        """
        require_verb(target, "create")
        require_place(target)
        obj, target = identified(given, target)
        authorize(caller, "create", target.plural, target.domain, target.name)
        if target.domain:
            await self._require_living_domain(target.domain)
        new = without_claims(obj, None)
        admitted = await self._admit("create", caller, target, old=None, new=new, dry_run=dry_run)
        manager = origin.manager_of(caller)
        admitted = _owned(admitted, owned or (lambda new: updated(target.kind, None, new, obj, manager=manager)))
        if dry_run:
            await self._require_absent(target)
            return self._written(target, self._as_created(admitted), admitted)
        home = Key(DOMAIN_KIND, "", target.domain) if target.domain else None
        audit = origin.act(caller, verb).to_wire()
        write = Write("create", target.key, admitted.object, lives_in=home, audit=audit)
        return self._written(target, await self._write(caller, target, write, admitted), admitted)

    async def update(
        self, caller: Caller, target: Target, given: Mapping[str, Any], *, dry_run: bool, origin: Origin = INSIDE
    ) -> Written:
        """Replace spec and metadata of the object that the sender read."""
        require_verb(target, "update")
        obj, target = identified(given, target)
        authorize(caller, "update", target.plural, target.domain, target.name)
        old = await self._based_on(target, obj, dry_run=dry_run)
        require_current(old, obj, required=True)
        return await self.replace(caller, target, old, obj, dry_run=dry_run, origin=origin, verb="update")

    async def update_status(
        self, caller: Caller, target: Target, given: Mapping[str, Any], *, dry_run: bool, origin: Origin = INSIDE
    ) -> Written:
        """Replace the status alone."""
        require_verb(target, "update")
        obj, target = identified(given, target)
        authorize(caller, "update", target.plural, target.domain, target.name)
        old = await self._based_on(target, obj, dry_run=dry_run)
        require_current(old, obj, required=True)
        new = {**old, "status": obj.get("status") or {}}
        admitted = await self._admit("update_status", caller, target, old=old, new=new, dry_run=dry_run)
        if dry_run:
            return self._written(target, admitted.object or {}, admitted)
        audit = origin.act(caller, "update_status").to_wire()
        write = Write("update_status", target.key, admitted.object, expected_version=_version(old), audit=audit)
        return self._written(target, await self._write(caller, target, write, admitted), admitted)

    async def patch(
        self, caller: Caller, target: Target, patch: Mapping[str, Any], *, dry_run: bool, origin: Origin = INSIDE
    ) -> Written:
        """Merge a patch into the object as it is now; unless the patch names a version, a race is run again.

        A conflict is run again once in any case, since what admission went by may have been old news; one that comes
        again with the object as it was is no race.
        """
        require_verb(target, "patch")
        authorize(caller, "patch", target.plural, target.domain, target.name)
        if "status" in patch:
            problem = FieldError(
                "status", "is written by PUT at the object's own path followed by /status; leave it out", "Immutable"
            )
            raise Invalid(
                f"a patch of {target.kind.kind} {target.key.name!r} changes metadata and spec alone; leave status out",
                details=[problem],
            )
        pinned = isinstance(patch.get("metadata"), Mapping) and "resourceVersion" in patch["metadata"]
        lost: Conflict | None = None
        based_on = ""
        for attempt in range(WRITE_ATTEMPTS):
            old = await self._store.get(target.key)
            if lost is not None and attempt > 1 and _version(old) == based_on:
                raise lost
            based_on = _version(old)
            obj, target = identified(merge_patch(old, patch), target)
            require_current(old, obj, required=False)
            try:
                return await self.replace(caller, target, old, obj, dry_run=dry_run, origin=origin, verb="patch")
            except Conflict as error:
                if pinned or attempt == WRITE_ATTEMPTS - 1:
                    raise
                lost = error
        raise AssertionError("the last attempt returns or raises")

    async def delete(
        self,
        caller: Caller,
        target: Target,
        preconditions: Preconditions,
        *,
        dry_run: bool,
        propagation: Propagation | None = None,
        origin: Origin = INSIDE,
    ) -> Written:
        """Remove the object, or mark it when finalizers hold it; answers its last form.

        With the propagation `Foreground` or `Orphan` it is held until the garbage collector has seen to what it owns.
        """
        require_verb(target, "delete")
        authorize(caller, "delete", target.plural, target.domain, target.name)
        old = await self._store.get(target.key)
        _require_preconditions(old, preconditions)
        is_domain = target.kind.kind == DOMAIN_KIND
        if is_domain:
            await require_empty(self._store, self._resources, target.key.name)
        admitted = await self._admit("delete", caller, target, old=old, new=None, dry_run=dry_run)
        if dry_run:
            return self._written(target, old, admitted)
        write = Write(
            "delete",
            target.key,
            expected_version=preconditions.resource_version,
            expected_uid=preconditions.uid or old["metadata"].get("uid"),
            empty_domain=target.key.name if is_domain else None,
            finalizer=PROPAGATION_FINALIZERS.get(propagation or ""),
            audit=origin.act(caller, "delete").to_wire(),
        )
        return self._written(target, await self._write(caller, target, write, admitted), admitted)

    async def replace(
        self,
        caller: Caller,
        target: Target,
        old: Wire,
        obj: Mapping[str, Any],
        *,
        dry_run: bool,
        origin: Origin,
        verb: str,
        owned: Owned | None = None,
    ) -> Written:
        """Store a new form of an object that was just read; the caller has been authorized for the verb.

        Args:
            caller: Who.
            target: Which.
            old: As stored; the write is refused when that has changed.
            obj: The whole new form.
            dry_run: Stop before the write.
            origin: Where the write comes from.
            verb: As the audit has it.
            owned: Says who owns which field; None for the caller, who owns what they changed.
        """
        new = restore(target.kind, old, without_claims(obj, old))
        admitted = await self._admit("update", caller, target, old=old, new=new, dry_run=dry_run)
        manager = origin.manager_of(caller)
        admitted = _owned(admitted, owned or (lambda new: updated(target.kind, old, new, obj, manager=manager)))
        if dry_run:
            return self._written(target, _as_updated(old, admitted), admitted)
        audit = origin.act(caller, verb).to_wire()
        write = Write("update", target.key, admitted.object, expected_version=_version(old), audit=audit)
        return self._written(target, await self._write(caller, target, write, admitted), admitted)

    async def _based_on(self, target: Target, obj: Mapping[str, Any], *, dry_run: bool) -> Wire:
        """The object as stored; from memory when that holds the very version that the sender names.

        Should it have changed since, the store refuses the write; a dry run has none, and looks.
        """
        held = self._view.held(target.key)
        if held is not None and not dry_run and _version(held) == obj["metadata"].get("resourceVersion"):
            return held
        return await self._store.get(target.key)

    async def _admit(
        self, operation: Operation, caller: Caller, target: Target, *, old: Wire | None, new: Wire | None, dry_run: bool
    ) -> Admitted:
        if old is not None and operation != "delete":
            require_known_form(target.kind, old)
        request = AdmissionRequest(
            operation=operation,
            kind=target.kind,
            domain=target.key.domain,
            name=target.key.name,
            old=old,
            new=new,
            caller=caller,
            dry_run=dry_run,
            now=self._clock.now(),
        )
        with self._admission_seconds.labels(target.kind.kind).time():
            return await self._admission.admit(request)

    async def _write(self, caller: Caller, target: Target, write: Write, admitted: Admitted) -> Wire:
        write = replace(write, leader=caller.leader, surroundings=admitted.surroundings)
        [result] = await self._store.write([write])
        self._writes.labels(target.kind.kind, write.op, result.error.reason if result.error else "").inc()
        if result.error is not None:
            raise result.error
        stored = result.object or {}
        self._view.observe(target.kind.kind, stored, deleted=result.is_deleted)
        return stored

    def _written(self, target: Target, obj: Wire, admitted: Admitted) -> Written:
        return Written(mask(target.kind, obj), admitted.warnings, admitted.once)

    async def _require_living_domain(self, domain: str) -> None:
        if "deletionTimestamp" in (await self._reads.require_domain(domain))["metadata"]:
            raise Conflict(f"domain {domain!r} is being deleted; nothing new can be made in it")

    async def _require_absent(self, target: Target) -> None:
        try:
            await self._store.get(target.key)
        except NotFound:
            return
        raise AlreadyExists(f"{target.kind.kind} {target.key.name!r} exists already; update it, or choose another name")

    def _as_created(self, admitted: Admitted) -> Wire:
        obj = admitted.object or {}
        now = rfc3339(self._clock.now())
        return {**obj, "metadata": {**obj["metadata"], "generation": 1, "creationTimestamp": now}}


def identified(given: Mapping[str, Any], target: Target) -> tuple[dict[str, Any], Target]:
    """The object with its identity filled in from the path, and the target with the object's name.

    Raises:
        BadRequest: Path and object disagree.
        Invalid: There is no name.
    """
    kind = given.get("kind", target.kind.kind)
    if kind != target.kind.kind:
        raise BadRequest(f"the object's kind is {str(kind)[:80]!r}; this path takes {target.kind.kind!r}")
    metadata = given.get("metadata")
    if not isinstance(metadata, Mapping):
        raise Invalid(
            f"the {target.kind.kind} has no metadata; write metadata.name at least",
            details=[FieldError("metadata", "is required", "Required")],
        )
    name, domain = metadata.get("name"), metadata.get("domain")
    if not isinstance(name, str) or not name:
        raise Invalid(
            f"the {target.kind.kind} has no name; write metadata.name",
            details=[FieldError("metadata.name", "is required", "Required")],
        )
    if target.name is not None and name != target.name:
        raise BadRequest(f"the object's name is {name[:80]!r}; the path says {target.name!r}")
    if domain is not None and domain != target.domain:
        place = f"domain {target.domain!r}" if target.domain else "no domain"
        raise BadRequest(f"the object's domain is {str(domain)[:80]!r}; the path says {place}")
    own = {**metadata, "domain": target.domain} if target.domain else dict(metadata)
    return {**given, "metadata": own}, Target(target.kind, target.domain or "", name, target.is_status)


def require_current(old: Wire, obj: Mapping[str, Any], *, required: bool) -> None:
    """The sender's version and uid are those of the stored object."""
    sent: Mapping[str, Any] = obj["metadata"]
    version, uid = sent.get("resourceVersion"), sent.get("uid")
    if version is None and required:
        problem = FieldError(
            "metadata.resourceVersion", "is required: read the object, change it, send it back", "Required"
        )
        raise Invalid(
            f"an update of {old['kind']} {sent['name']!r} needs the resourceVersion it is based on; read it again",
            details=[problem],
        )
    wrong = [
        FieldError(f"metadata.{name}", "must be a string, as the server sent it")
        for name, value in (("resourceVersion", version), ("uid", uid))
        if value is not None and not isinstance(value, str)
    ]
    if wrong:
        raise Invalid(
            f"the identity of {old['kind']} {sent['name']!r} can't be read;"
            f" send {', '.join(p.field for p in wrong)} as the server sent it",
            details=wrong,
        )
    _require_preconditions(old, Preconditions(uid=uid, resource_version=version))


def _require_preconditions(old: Wire, wanted: Preconditions) -> None:
    name = old["metadata"]["name"]
    if wanted.uid is not None and wanted.uid != old["metadata"].get("uid"):
        raise Conflict(f"{old['kind']} {name!r} is another object of that name by now; read it again")
    if wanted.resource_version is not None and wanted.resource_version != _version(old):
        raise Conflict(
            f"{old['kind']} {name!r} has changed: it is at resourceVersion {_version(old)!r},"
            f" not {str(wanted.resource_version)[:40]!r}; read it again and redo the change"
        )


def _owned(admitted: Admitted, owned: Owned) -> Admitted:
    return replace(admitted, object=owned(admitted.object or {}))


def _version(obj: Wire) -> str:
    return str(obj["metadata"].get("resourceVersion", ""))


def _as_updated(old: Wire, admitted: Admitted) -> Wire:
    obj = admitted.object or {}
    if obj.get("spec") == old.get("spec"):
        return obj
    generation = int(old["metadata"].get("generation", 0)) + 1
    return {**obj, "metadata": {**obj["metadata"], "generation": generation}}
