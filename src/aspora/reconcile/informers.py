"""The informers of a process: one a kind, shared by all controllers."""

import asyncio
from collections.abc import Iterable

from aspora.client.interface import Client
from aspora.kit.supervise import run_loops
from aspora.reconcile.informer import Informer


class Informers:
    """Makes each kind's informer when the first controller asks for it; `run` runs those that were asked for before."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._by_kind: dict[str, Informer] = {}

    def of(self, kind: str) -> Informer:
        """The informer of a kind, in all domains."""
        if kind not in self._by_kind:
            self._by_kind[kind] = Informer(self._client, kind)
        return self._by_kind[kind]

    def __iter__(self) -> Iterable[Informer]:
        return iter(self._by_kind.values())

    async def wait_synced(self) -> None:
        """Return when each has listed once."""
        for informer in list(self._by_kind.values()):
            await informer.synced.wait()

    async def run(self, stop: asyncio.Event) -> None:
        """Keep them all true until `stop`."""
        loops = {f"informer-{kind}": informer.run for kind, informer in self._by_kind.items()}
        await run_loops(loops, stop, grace_seconds=0.5)
