"""A store under test, and short words for what is done to it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from aspora.store.interface import Event, Key, Page, Store, Wire, Write, WriteResult

PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class StoreUnderTest:
    """A store and what the suite does to it.

    Attributes:
        store: Its watches send a bookmark at least each second.
        peer: Another one over the same objects, as in another process.
        forget: Drops all history up to now.
    """

    store: Store
    peer: Store
    forget: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Ward:
    """One kind of a store, which no other test uses, and short words for what is done to it."""

    store: Store
    kind: str

    def key(self, name: str, domain: str = "d1") -> Key:
        return Key(self.kind, domain, name)

    async def try_write(self, write: Write) -> WriteResult:
        [result] = await self.store.write([write])
        return result

    async def write(self, write: Write) -> Wire:
        result = await self.try_write(write)
        if result.error is not None:
            raise result.error
        assert result.object is not None
        return result.object

    async def create(
        self, name: str, domain: str = "d1", *, spec: Any = None, labels: Any = None, finalizers: Any = None
    ) -> Wire:
        metadata = {"name": name, "labels": labels, "finalizers": finalizers}
        obj = {"kind": self.kind, "metadata": metadata, "spec": {"n": 0} if spec is None else spec}
        return await self.write(Write("create", self.key(name, domain), obj))

    async def update(self, old: Wire, *, spec: Any = None, **metadata: Any) -> Wire:
        new = {**old, "metadata": {**old["metadata"], **metadata}, "spec": old.get("spec") if spec is None else spec}
        return await self.write(Write("update", key_of(old), new, expected_version=version_of(old)))

    async def set_status(self, old: Wire, status: Any) -> Wire:
        new = {**old, "status": status}
        return await self.write(Write("update_status", key_of(old), new, expected_version=version_of(old)))

    async def delete(self, name: str, domain: str = "d1", *, uid: str | None = None) -> Wire:
        return await self.write(Write("delete", self.key(name, domain), expected_uid=uid))

    async def list(self, **options: Any) -> Page:
        return await self.store.list(self.kind, **options)

    async def version(self) -> str:
        return (await self.list(limit=1)).resource_version

    def watch(self, since: str, **options: Any) -> AsyncIterator[Event]:
        return self.store.watch(self.kind, since=since, **options)


def key_of(obj: Wire) -> Key:
    """An object's key."""
    return Key(obj["kind"], obj["metadata"].get("domain", ""), obj["metadata"]["name"])


def version_of(obj: Wire) -> str:
    """An object's resource version."""
    return obj["metadata"]["resourceVersion"]


def names(objects: Sequence[Wire]) -> list[str]:
    """Names in order."""
    return [obj["metadata"]["name"] for obj in objects]


async def take(events: AsyncIterator[Event], count: int, *, bookmarks: bool = False) -> list[Event]:
    """The next events; without bookmarks unless asked for."""
    taken: list[Event] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(taken) < count:
            event = await anext(events)
            if bookmarks or event.type != "BOOKMARK":
                taken.append(event)
    return taken


def told(events: Sequence[Event]) -> list[tuple[str, str]]:
    """Type and name of each."""
    return [(event.type, event.object["metadata"]["name"]) for event in events]


class KindFixtures:
    """Gives each test a kind of its own."""

    @pytest.fixture
    def ward(self, under_test: StoreUnderTest) -> Ward:
        """A kind of the store."""
        return Ward(under_test.store, f"K{uuid.uuid4().hex}")

    @pytest.fixture
    def elsewhere(self, under_test: StoreUnderTest, ward: Ward) -> Ward:
        """The same kind, seen from another process."""
        return Ward(under_test.peer, ward.kind)
