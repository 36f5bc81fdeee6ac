"""Clients that count, and clients that break where a process may die."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

from aspora.client.interface import Client, ObjectList, Propagation, Records, WatchEvent, Wire

T = TypeVar("T")

BeforeCall = Callable[[int, str], Awaitable[None]]
"""Called with the call's number, from 0, and the method's name; may raise in the call's place."""


class HookedClient:
    """A `Client` and `Records` that asks before and tells after each call.

    Args:
        client: Does the work.
        records: Likewise; None when the reconciler reads none.
        before: Asked before a call is made.
        after: Told when it has taken effect; what it raises, the caller sees in place of the answer.
    """

    def __init__(
        self, client: Client, records: Records | None, *, before: BeforeCall | None, after: BeforeCall | None
    ) -> None:
        self._client = client
        self._records = records
        self._before = before
        self._after = after
        self.calls = 0

    async def _call(self, name: str, call: Callable[[], Awaitable[T]]) -> T:
        number = self.calls
        self.calls += 1
        if self._before is not None:
            await self._before(number, name)
        answer = await call()
        if self._after is not None:
            await self._after(number, name)
        return answer

    async def get(self, kind: str, name: str, *, domain: str | None = None) -> Wire:
        """One object."""
        return await self._call("get", lambda: self._client.get(kind, name, domain=domain))

    async def list(
        self,
        kind: str,
        *,
        domain: str | None = None,
        labels: str = "",
        fields: str = "",
        limit: int = 500,
        continue_token: str | None = None,
    ) -> ObjectList:
        """A page of objects."""
        return await self._call(
            "list",
            lambda: self._client.list(
                kind, domain=domain, labels=labels, fields=fields, limit=limit, continue_token=continue_token
            ),
        )

    async def watch(
        self, kind: str, *, since: str, domain: str | None = None, labels: str = "", fields: str = ""
    ) -> AsyncGenerator[WatchEvent]:
        """Changes; reconcilers never watch, so these are not counted."""
        async for event in self._client.watch(kind, since=since, domain=domain, labels=labels, fields=fields):
            yield event

    async def create(self, obj: Wire, *, dry_run: bool = False) -> Wire:
        """Create."""
        return await self._call("create", lambda: self._client.create(obj, dry_run=dry_run))

    async def update(self, obj: Wire, *, status: bool = False, dry_run: bool = False) -> Wire:
        """Replace."""
        return await self._call("update", lambda: self._client.update(obj, status=status, dry_run=dry_run))

    async def delete(
        self,
        kind: str,
        name: str,
        *,
        domain: str | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: Propagation | None = None,
    ) -> Wire:
        """Delete."""
        return await self._call(
            "delete",
            lambda: self._client.delete(
                kind, name, domain=domain, uid=uid, resource_version=resource_version, propagation=propagation
            ),
        )

    async def read(self, path: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        """Numbers and records."""
        return await self._call("read", lambda: self._their_records().read(path, query))

    async def post(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Hand in a record."""
        return await self._call("post", lambda: self._their_records().post(path, body))

    def _their_records(self) -> Records:
        assert self._records is not None, "the reconciler reads records, but its world has none"
        return self._records


WRITES = frozenset({"create", "update", "delete"})


class CountingClient(HookedClient):
    """Counts the writes that went through."""

    def __init__(self, client: Client, records: Records | None = None) -> None:
        self.writes = 0

        async def count(_: int, name: str) -> None:
            self.writes += name in WRITES

        super().__init__(client, records, before=None, after=count)


class BreakingClient(HookedClient):
    """Breaks once, at one call.

    Args:
        at: Number of the call, from 0.
        error: Raised there.
        takes_effect: Whether the call is made first, and only its answer is lost.
        only_writes: Whether only writes are hit: then `at` is the first call from which on the next write is.
    """

    def __init__(
        self,
        client: Client,
        records: Records | None = None,
        *,
        at: int,
        error: BaseException,
        takes_effect: bool = False,
        only_writes: bool = False,
    ) -> None:
        self.has_broken = False

        async def break_off(number: int, name: str) -> None:
            hit = number >= at and name in WRITES if only_writes else number == at
            if hit and not self.has_broken:
                self.has_broken = True
                raise error

        before, after = (None, break_off) if takes_effect else (break_off, None)
        super().__init__(client, records, before=before, after=after)
