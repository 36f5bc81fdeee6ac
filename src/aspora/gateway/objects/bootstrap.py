"""What a new Aspora begins with: the default domain, roles, models, and the keys of its own processes.

Safe to run at each start. What people edited stays as they left it; what they never touched follows the release.
"""

import hashlib
import json
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from aspora.access.defaults import PLATFORM_ADMIN, SYSTEM_CONTROLLER, SYSTEM_EXECUTOR, default_roles
from aspora.access.interface import ANY, ANY_STATUS, Caller, Grant
from aspora.access.keys import hash_key, parse_key
from aspora.gateway.objects.resources import Resources, Target
from aspora.gateway.objects.writes import ObjectWrites, Preconditions
from aspora.kit.clock import Clock
from aspora.meta.errors import API_VERSION, AlreadyExists, Conflict, NotFound
from aspora.meta.managed_fields import SHIPPED as SHIPPED_BY
from aspora.meta.objects import rfc3339, to_wire
from aspora.meta.selectors import Requirement
from aspora.store.interface import Store
from aspora.telemetry.logs import get_logger

log = get_logger(__name__)

CLOCK_DOUBT = timedelta(days=1)
"""A key of another process goes this long after its end, since clocks of hosts differ."""

SHIPPED = "aspora.dev/shipped-digest"
START_LABEL = "aspora.dev/start-key"
PLACE_LABEL = "aspora.dev/start-place"
DEFAULT_DOMAIN = "default"
INTERNAL_CALLER = Caller(
    name=SHIPPED_BY, kind="system", grants=(Grant(None, frozenset({ANY}), frozenset({ANY, ANY_STATUS})),)
)
"""Holds everything; exists inside the process alone and has no key."""


@dataclass(frozen=True, slots=True)
class StartKey:
    """A key that the start brings along.

    Attributes:
        text: The key; it names its ApiKey object.
        owner: Who acts by it.
        roles: Cluster-wide roles bound to the owner.
        owner_kind: `system` for Aspora's own processes.
        place: Where the key is kept. A new key replaces former ones of the same owner and place; those of other places
            are other processes' and stay.
        expires_at: From then on the key is refused; a later start or a renewal moves it. None: it does not expire.
        narrowed: The key gives `roles` alone, whatever else its owner may do.
    """

    text: str = field(repr=False)
    owner: str
    roles: tuple[str, ...]
    owner_kind: Literal["user", "system"] = "system"
    place: str = ""
    expires_at: datetime | None = None
    narrowed: bool = False

    @property
    def labels(self) -> dict[str, str]:
        """By which the key's object is found."""
        return {START_LABEL: self.owner, **({PLACE_LABEL: self.place} if self.place else {})}

    @property
    def spec(self) -> dict[str, Any]:
        """The spec of the key's object."""
        return {
            "owner": self.owner,
            "ownerKind": self.owner_kind,
            "keyHash": hash_key(self.text),
            **({"roles": list(self.roles)} if self.narrowed else {}),
            **({"expiresAt": rfc3339(self.expires_at)} if self.expires_at is not None else {}),
        }


def admin_key(text: str, *, place: str = "") -> StartKey:
    """The key of local mode's administrator."""
    return StartKey(text, "admin", (PLATFORM_ADMIN,), "user", place=place)


def system_key(
    text: str,
    *,
    roles: Sequence[str] = (SYSTEM_EXECUTOR, SYSTEM_CONTROLLER),
    place: str = "",
    expires_at: datetime | None = None,
) -> StartKey:
    """A key by which Aspora's own processes work as `system:aspora`; it gives these roles and no other."""
    return StartKey(text, "aspora", tuple(roles), place=place, expires_at=expires_at, narrowed=True)


class Bootstrap:
    """Makes what is missing."""

    def __init__(self, *, store: Store, writes: ObjectWrites, resources: Resources, clock: Clock) -> None:
        self._store = store
        self._writes = writes
        self._clock = clock
        self._by_kind = {kind.kind: kind for kind in resources.kinds()}

    async def run(self, *, shipped: Sequence[Mapping[str, Any]], keys: Iterable[StartKey]) -> None:
        """Domain and roles, then what is `shipped` (providers and models), then each key with its owner's binding."""
        for obj in (_default_domain(), *default_roles(), *shipped):
            await self._ensure(obj)
        await self.ensure_keys(keys)

    async def ensure_keys(self, keys: Iterable[StartKey]) -> None:
        """Each key with its owner's binding; of what a release brings along only roles that are not there yet."""
        roles = {role["metadata"]["name"]: role for role in default_roles()}
        for key in keys:
            for role in key.roles:
                await self._ensure_there(roles[role])
                await self._ensure(_binding(key, role))
            await self._ensure_key(key)

    async def _ensure_there(self, obj: Mapping[str, Any]) -> None:
        """Create the object when there is none; one of another release stays as it is."""
        try:
            await self._store.get(self._target(obj).key)
        except NotFound:
            await self._ensure(obj)

    async def _ensure(self, obj: Mapping[str, Any]) -> None:
        """Create the object, or bring it up to this release when nobody has edited it."""
        target = self._target(obj)
        spec = to_wire(target.kind.spec.model_validate(obj["spec"], by_alias=True, by_name=False))
        new = _marked(obj, spec)
        try:
            old = await self._store.get(target.key)
        except NotFound:
            await self._try(self._writes.create(INTERNAL_CALLER, target, new, dry_run=False))
            return
        untouched = old["metadata"].get("annotations", {}).get(SHIPPED) == _digest(old["spec"])
        if untouched and old["spec"] != spec:
            version = old["metadata"]["resourceVersion"]
            new = {**new, "metadata": {**new["metadata"], "resourceVersion": version}}
            await self._try(self._writes.update(INTERNAL_CALLER, target, new, dry_run=False))

    async def has_key(self, owner: str) -> bool:
        """Whether any start has left a key of this owner."""
        return bool(await self._start_keys(owner))

    async def knows(self, key: StartKey) -> bool:
        """Whether the key is one that lets its sender in."""
        return any(old["spec"].get("keyHash") == hash_key(key.text) for old in await self._start_keys(key.owner))

    async def remove_key(self, key: StartKey) -> None:
        """Take a start's key back; nothing happens when it is gone."""
        for old in await self._start_keys(key.owner):
            if old["spec"].get("keyHash") == hash_key(key.text):
                await self._delete(old)

    async def _ensure_key(self, key: StartKey) -> None:
        """The ApiKey object holds the hash of the key's text and lasts as long as the key shall.

        Keys of the same owner and place from former starts go, and so do those of any place that have expired.
        """
        key_id = parse_key(key.text)
        if key_id is None or key_id.domain:
            raise ValueError(
                f"the start key of {key.owner!r} is not a cluster-wide key as this Aspora makes them; make it anew"
            )
        for old in await self._start_keys(key.owner):
            if old["spec"].get("keyHash") == hash_key(key.text):
                return await self._renew(old, key)
            if old["metadata"]["labels"].get(PLACE_LABEL, "") == key.place or self._is_expired(old):
                await self._delete(old)
        obj: dict[str, Any] = {
            "apiVersion": API_VERSION,
            "kind": "ApiKey",
            "metadata": {"name": key_id.name, "labels": key.labels},
            "spec": key.spec,
        }
        await self._try(self._writes.create(INTERNAL_CALLER, self._target(obj), obj, dry_run=False))

    async def _start_keys(self, owner: str) -> Sequence[Mapping[str, Any]]:
        found = await self._store.list(
            "ApiKey", domain="", labels=[Requirement(START_LABEL, "=", (owner,))], limit=5000
        )
        return found.items

    async def _renew(self, old: Mapping[str, Any], key: StartKey) -> None:
        """Move the instant at which it expires; a key that does not expire is left alone."""
        if key.expires_at is None or old["spec"].get("expiresAt") == rfc3339(key.expires_at):
            return
        new = {**old, "spec": {**old["spec"], "expiresAt": rfc3339(key.expires_at)}}
        await self._try(self._writes.update(INTERNAL_CALLER, self._target(new), new, dry_run=False))

    def _is_expired(self, obj: Mapping[str, Any]) -> bool:
        text = obj["spec"].get("expiresAt")
        return text is not None and datetime.fromisoformat(text) + CLOCK_DOUBT <= self._clock.now()

    async def _delete(self, obj: Mapping[str, Any]) -> None:
        same = Preconditions(uid=obj["metadata"]["uid"])
        await self._try(self._writes.delete(INTERNAL_CALLER, self._target(obj), same, dry_run=False))

    def _target(self, obj: Mapping[str, Any]) -> Target:
        return Target(self._by_kind[obj["kind"]], "", obj["metadata"]["name"])

    async def _try(self, write: Awaitable[object]) -> None:
        """Another process that starts at the same moment may be first; it writes the same."""
        try:
            await write
        except (AlreadyExists, Conflict, NotFound) as e:
            log.info("another process made it first", reason=e.reason)


def _marked(obj: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    metadata: dict[str, Any] = dict(obj["metadata"])
    metadata["annotations"] = {**metadata.get("annotations", {}), SHIPPED: _digest(spec)}
    return {**obj, "metadata": metadata, "spec": dict(spec)}


def _digest(spec: Mapping[str, Any]) -> str:
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _default_domain() -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": "Domain", "metadata": {"name": DEFAULT_DOMAIN}, "spec": {}}


def _binding(key: StartKey, role: str) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "RoleBinding",
        "metadata": {"name": f"{key.owner}-is-{role}"},
        "spec": {"subjects": [{"kind": key.owner_kind, "name": key.owner}], "roleRef": {"name": role}},
    }
