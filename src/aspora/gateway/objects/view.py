"""The objects of hot paths in memory: API keys, roles, domains, skills, routes, models.

Kept true by list and watch on the store. What is read here is at most `MAX_AGE_SECONDS` old: when the store's tail has
been silent for longer, reads go to the database instead, and fail with `Unavailable` when that is gone.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aspora.kit.backoff import Backoff
from aspora.kit.supervise import wait_for_event
from aspora.meta.errors import Expired, NotFound, StatusError, Unavailable
from aspora.store.interface import Key, Store
from aspora.telemetry.logs import get_logger
from aspora.telemetry.metrics import Metrics
from aspora.telemetry.names import VIEW_AGE_SECONDS, VIEW_REREADS

log = get_logger(__name__)

Wire = Mapping[str, Any]

HOT_KINDS = (
    *("ApiKey", "Role", "RoleBinding", "Domain", "Skill", "Revision", "Route"),
    *("Model", "Provider", "ModelRouting"),
)
MAX_AGE_SECONDS = 1.0
PAGE_LIMIT = 1000


@dataclass(slots=True)
class _KindView:
    """One kind: objects by domain and name, and the versions of those that this process deleted.

    Attributes:
        seen: Every change of the kind up to this version has been taken in, from the list or the watch.
    """

    objects: dict[str, dict[str, Wire]] = field(default_factory=dict[str, dict[str, Wire]])
    buried: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    is_synced: bool = False
    seen: int = 0

    def get(self, domain: str, name: str) -> Wire | None:
        return self.objects.get(domain, {}).get(name)

    def put(self, obj: Wire) -> bool:
        """Take an object in unless something newer is known of it."""
        domain, name, version = _identity(obj)
        known = self.get(domain, name)
        newest = max(self.buried.get((domain, name), 0), _identity(known)[2] if known is not None else 0)
        if version <= newest:
            return False
        self.buried.pop((domain, name), None)
        self.objects.setdefault(domain, {})[name] = obj
        return True

    def remove(self, obj: Wire, *, bury: bool) -> bool:
        """Drop an object; `bury` keeps older news, still on its way, from raising it again."""
        domain, name, version = _identity(obj)
        known = self.get(domain, name)
        if known is not None and _identity(known)[2] > version:
            return False
        if bury:
            self.buried[domain, name] = version
        else:
            self.buried.pop((domain, name), None)
        return self.objects.get(domain, {}).pop(name, None) is not None

    def keep_newer(self, former: "_KindView", *, than: int) -> None:
        """Take over what this process wrote while the list was being read."""
        for place in former.objects.values():
            for obj in place.values():
                if _identity(obj)[2] > than:
                    self.put(obj)
        for (domain, name), version in former.buried.items():
            if version > than:
                self.objects.get(domain, {}).pop(name, None)
                self.buried[domain, name] = version


def _identity(obj: Wire) -> tuple[str, str, int]:
    metadata = obj["metadata"]
    return metadata.get("domain") or "", metadata["name"], int(metadata["resourceVersion"])


class ObjectView:
    """An `ObjectReader` over the store; one a process.

    Args:
        store: Read and watched.
        tail_age_seconds: How long ago the store last knew that it had handed on every change.
        kinds: Those to hold; reads of other kinds go to the database.
    """

    def __init__(
        self,
        *,
        store: Store,
        tail_age_seconds: Callable[[], float],
        metrics: Metrics,
        kinds: Sequence[str] = HOT_KINDS,
        backoff: Backoff | None = None,
    ) -> None:
        self._store = store
        self._tail_age_seconds = tail_age_seconds
        self._kinds = {kind: _KindView() for kind in kinds}
        self._changes = dict.fromkeys(kinds, 0)
        self._backoff = backoff or Backoff(base_seconds=0.1, max_seconds=2)
        self._rereads = metrics.counter(VIEW_REREADS)
        self._synced = asyncio.Event()
        metrics.gauge(VIEW_AGE_SECONDS).set_function(self.age_seconds)

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the view true until `stop`."""
        tasks = [asyncio.create_task(self._keep(kind, stop), name=f"view-{kind}") for kind in self._kinds]
        try:
            await stop.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def wait_synced(self) -> None:
        """Return when every kind has been listed once."""
        await self._synced.wait()

    def age_seconds(self) -> float:
        """How old the view may be; infinite while a kind is not in step."""
        return self._tail_age_seconds() if all(v.is_synced for v in self._kinds.values()) else float("inf")

    async def require_fresh(self) -> None:
        """A readiness check.

        Raises:
            Unavailable: Older than `MAX_AGE_SECONDS`.
        """
        age = self.age_seconds()
        if age > MAX_AGE_SECONDS:
            raise Unavailable(f"the view of the objects is {age:.1f} s old; at most {MAX_AGE_SECONDS:g} s is served")

    def version_of(self, *kinds: str) -> int | None:
        """A number that grows with each change of these kinds: what was computed from them is good while it stays.

        None while the view is stale: then nothing may be kept.
        """
        fresh = all(self._is_fresh(kind) for kind in kinds)
        return sum(self._changes[kind] for kind in kinds) if fresh else None

    async def get(self, kind: str, name: str, *, domain: str = "") -> Wire | None:
        """The object, or None when there is none."""
        if self._is_fresh(kind):
            return self._kinds[kind].get(domain, name)
        self._rereads.labels(kind).inc()
        try:
            return await self._store.get(Key(kind, domain, name))
        except NotFound:
            return None

    def held(self, key: Key) -> Wire | None:
        """The object as it was last heard of, however long ago; None when there is none, or its kind is not held."""
        view = self._kinds.get(key.kind)
        return view.get(key.domain, key.name) if view is not None else None

    async def list(self, kind: str, *, domain: str | None = None) -> Sequence[Wire]:
        """Objects of a kind by (domain, name)."""
        if self._is_fresh(kind):
            objects = self._kinds[kind].objects
            places = sorted(objects) if domain is None else [domain]
            return [obj for place in places for _, obj in sorted(objects.get(place, {}).items())]
        self._rereads.labels(kind).inc()
        return (await self._list_store(kind, domain=domain))[0]

    def observe(self, kind: str, obj: Wire, *, deleted: bool) -> None:
        """Take in a write of this very process at once, so that it reads what it wrote."""
        view = self._kinds.get(kind)
        if view is None or _identity(obj)[2] <= view.seen:
            return  # The watch was faster, and may have told by now that somebody else deleted the object.
        if view.remove(obj, bury=True) if deleted else view.put(obj):
            self._changes[kind] += 1

    def _is_fresh(self, kind: str) -> bool:
        view = self._kinds.get(kind)
        return view is not None and view.is_synced and self._tail_age_seconds() <= MAX_AGE_SECONDS

    async def _list_store(self, kind: str, *, domain: str | None = None) -> tuple[Sequence[Wire], str]:
        """All objects, and the version of the first page: a watch from there misses nothing."""
        found: list[Wire] = []
        version, token = "", None
        while not version or token is not None:
            page = await self._store.list(kind, domain=domain, limit=PAGE_LIMIT, continue_token=token)
            found += page.items
            version, token = version or page.resource_version, page.continue_token
        return found, version

    async def _keep(self, kind: str, stop: asyncio.Event) -> None:
        """List and watch one kind, and again whenever the watch fails."""
        attempt = 0
        while not stop.is_set():
            try:
                version = await self._relist(kind)
                attempt = 0
                await self._follow(kind, version)
            except Expired:
                log.info("view lists again", kind=kind)
            except StatusError as e:
                attempt += 1
                log.warning("view lost the store", kind=kind, reason=e.reason)
            except Exception as e:  # noqa: BLE001 - a view that died silently would turn every read into a query
                attempt += 1
                log.error("view failed", error=e, kind=kind)
            finally:
                # Nothing is known to be seen any more: a database put back from a copy counts from a lower version.
                self._kinds[kind].is_synced, self._kinds[kind].seen = False, 0
            await wait_for_event(stop, self._backoff.delay_seconds(attempt))

    async def _relist(self, kind: str) -> str:
        found, version = await self._list_store(kind)
        fresh = _KindView(is_synced=True, seen=int(version))
        for obj in found:
            fresh.put(obj)
        fresh.keep_newer(self._kinds[kind], than=int(version))
        self._kinds[kind] = fresh
        self._changes[kind] += 1
        if all(view.is_synced for view in self._kinds.values()):
            self._synced.set()
        return version

    async def _follow(self, kind: str, version: str) -> None:
        view = self._kinds[kind]
        async for event in self._store.watch(kind, since=version):
            if event.type != "BOOKMARK":
                changed = view.remove(event.object, bury=False) if event.type == "DELETED" else view.put(event.object)
                self._changes[kind] += changed
            view.seen = int(event.object["metadata"]["resourceVersion"])
