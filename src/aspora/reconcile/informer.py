"""An informer: all objects of one kind in memory, kept true by list and watch, with word of every change."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from aspora.client.interface import Client, Wire
from aspora.kit.backoff import Backoff
from aspora.kit.supervise import run_until
from aspora.meta.errors import Expired, StatusError
from aspora.reconcile.interface import Request

Listener = Callable[[Request, Wire], None]

_log = logging.getLogger(__name__)


def request_of(obj: Mapping[str, Any]) -> Request:
    """The name of an object in wire form."""
    return Request(obj["metadata"].get("domain"), obj["metadata"]["name"])


class Informer:
    """A cache of one kind.

    Listeners hear of each object once after every list and of each later change (for a deletion with its last form).
    After any doubt (stream broken, history expired, server restarted) the informer lists again; what vanished meanwhile
    is reported too.
    """

    def __init__(self, client: Client, kind: str, *, domain: str | None = None, backoff: Backoff | None = None) -> None:
        self.kind = kind
        self.synced = asyncio.Event()
        self._client = client
        self._domain = domain
        self._backoff = backoff or Backoff(base_seconds=0.1, max_seconds=5)
        self._objects: dict[Request, Wire] = {}
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
                name = request_of(event.object)
                if event.type == "DELETED":
                    self._objects.pop(name, None)
                else:
                    self._objects[name] = event.object
                self._tell(name, event.object)
            await asyncio.sleep(self._backoff.delay_seconds(0))

    def _tell(self, name: Request, obj: Wire) -> None:
        for listener in self._listeners:
            listener(name, obj)
