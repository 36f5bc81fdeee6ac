"""An informer: all objects of one kind in memory, kept true by list and watch, with word of every change."""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aspora.client.interface import Client, Wire
from aspora.kit.backoff import Backoff
from aspora.kit.supervise import run_until
from aspora.meta.errors import Expired, StatusError
from aspora.reconcile.interface import Request

Listener = Callable[[Request, Wire], None]
KeysOf = Callable[[Wire], Iterable[str]]
"""From an object to the keys under which an index has it."""

SPREAD_SECONDS = 0.5

_log = logging.getLogger(__name__)


class _Index:
    """Names by key."""

    def __init__(self, keys_of: KeysOf) -> None:
        self._keys_of = keys_of
        self._names: dict[str, dict[Request, None]] = {}

    def find(self, key: str) -> list[Request]:
        return list(self._names.get(key, ()))

    def rebuild(self, objects: Mapping[Request, Wire]) -> None:
        self._names = {}
        for name, obj in objects.items():
            self.change(name, None, obj)

    def change(self, name: Request, old: Wire | None, new: Wire | None) -> None:
        for key in self._keys_of(old) if old is not None else ():
            names = self._names.get(key, {})
            names.pop(name, None)
            if not names:
                self._names.pop(key, None)
        for key in self._keys_of(new) if new is not None else ():
            self._names.setdefault(key, {})[name] = None


def request_of(obj: Mapping[str, Any]) -> Request:
    """The name of an object in wire form."""
    return Request(obj["metadata"].get("domain"), obj["metadata"]["name"])


class Informer:
    """A cache of one kind.

    Listeners hear of each object once after every list and of each later change (for a deletion with its last form).
    After any doubt (stream broken, history expired, server restarted) the informer lists again; what vanished meanwhile
    is reported too. When history expires it does so for many informers at once: each waits a moment of its own first.

    Args:
        client: Lists and watches.
        kind: What to hold.
        domain: None for all domains and the cluster.
        backoff: Between tries while the server is away.
        spread_seconds: The longest such moment.
        rand: Gives numbers in [0, 1).
    """

    def __init__(
        self,
        client: Client,
        kind: str,
        *,
        domain: str | None = None,
        backoff: Backoff | None = None,
        spread_seconds: float = SPREAD_SECONDS,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self.kind = kind
        self.synced = asyncio.Event()
        self._client = client
        self._domain = domain
        self._backoff = backoff or Backoff(base_seconds=0.1, max_seconds=5)
        self._spread_seconds = spread_seconds
        self._rand = rand
        self._objects: dict[Request, Wire] = {}
        self._indexes: dict[str, _Index] = {}
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Call `listener(name, object)` on each change; it must be quick and must not raise."""
        self._listeners.append(listener)

    def get(self, name: str, *, domain: str | None = None) -> Wire | None:
        """The object as last seen, or None."""
        return self._objects.get(Request(domain, name))

    def objects(self) -> list[Wire]:
        """All objects as last seen."""
        return list(self._objects.values())

    def add_index(self, name: str, keys_of: KeysOf) -> None:
        """Keep the objects by some keys of theirs; the same name again changes nothing."""
        if name not in self._indexes:
            self._indexes[name] = _Index(keys_of)
            self._indexes[name].rebuild(self._objects)

    def by_index(self, name: str, key: str) -> list[Wire]:
        """The objects that have the key in that index, as last seen."""
        return [self._objects[request] for request in self._indexes[name].find(key)]

    async def run(self, stop: asyncio.Event) -> None:
        """List, watch, and again, until `stop`."""
        await run_until(stop, self._keep())

    async def _keep(self) -> None:
        attempt = 0
        while True:
            try:
                version = await self._relist()
                attempt = 0
                await self._follow(version)
            except Expired:
                _log.info("watch expired, listing again", extra={"kind": self.kind})
                await asyncio.sleep(self._spread_seconds * self._rand())
            except StatusError as e:
                attempt += 1
                _log.warning("informer lost its server", extra={"kind": self.kind, "reason": e.reason})
                await asyncio.sleep(self._backoff.delay_seconds(attempt))

    async def _relist(self) -> str:
        found: dict[Request, Wire] = {}
        token: str | None = None
        version = ""
        while True:
            page = await self._client.list(self.kind, domain=self._domain, limit=1000, continue_token=token)
            version = version or page.resource_version
            found.update((request_of(obj), obj) for obj in page.items)
            token = page.continue_token
            if token is None:
                break
        gone = [(name, obj) for name, obj in self._objects.items() if name not in found]
        self._objects = found
        for index in self._indexes.values():
            index.rebuild(found)
        for name, obj in gone + list(found.items()):
            self._tell(name, obj)
        self.synced.set()
        return version

    async def _follow(self, version: str) -> None:
        """Follow watches from `version` until one fails; a stream that merely ends is taken up where it stood."""
        while True:
            async for event in self._client.watch(self.kind, since=version, domain=self._domain):
                version = event.object["metadata"]["resourceVersion"]
                if event.type == "BOOKMARK":
                    continue
                self._take(request_of(event.object), event.object, is_gone=event.type == "DELETED")
            await asyncio.sleep(self._backoff.delay_seconds(0))

    def _take(self, name: Request, obj: Wire, *, is_gone: bool) -> None:
        old = self._objects.pop(name, None)
        if not is_gone:
            self._objects[name] = obj
        for index in self._indexes.values():
            index.change(name, old, None if is_gone else obj)
        self._tell(name, obj)

    def _tell(self, name: Request, obj: Wire) -> None:
        for listener in self._listeners:
            listener(name, obj)
