"""Worlds in which each shipped reconciler has something to do; every one lives in a domain of its own."""

import itertools
import json
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.integration.gateway.conftest import PACKED

from aspora.apis.builtins import load_kinds
from aspora.client.interface import Client
from aspora.controllers import garbage, health, keys, revisions, skill
from aspora.controllers.interface import Policy
from aspora.kit.clock import SystemClock
from aspora.meta.errors import NotFound
from aspora.meta.objects import rfc3339
from aspora.reconcile.informers import Informers
from aspora.reconcile.interface import Reconciler, Request
from aspora.testing.reconcile_suite import NewWorld, World
from aspora.testing.reconcile_suite.clients import HookedClient

_numbers = itertools.count(1)
_SNAPSHOT = ("Skill", "Revision", "Route", "ApiKey")
_SERVERS = ("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z|\b20\d{12}\b")


class TurnedClock(SystemClock):
    """The machine's clock, set ahead."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.ahead

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead.total_seconds()


class NoNumbers:
    """Records in which nothing has run, but for what `answers` says by the path's last part."""

    def __init__(self) -> None:
        self.answers: dict[str, Mapping[str, Any]] = {"revisions-in-use": {"revisions": []}}

    async def read(self, path: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        return self.answers[path.rpartition("/")[2]]

    async def post(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        raise NotFound("nothing is handed in here")


class DomainWorld:
    """A domain with its objects."""

    reports_generation = False

    def __init__(self, client: Client, domain: str) -> None:
        self.client = client
        self.domain = domain
        self.records: Any = NoNumbers()
        self.clock = TurnedClock()
        self.request = Request(domain, "toy")

    async def prepare(self) -> None:
        await self.client.create({"kind": "Domain", "metadata": {"name": self.domain}, "spec": {}})

    async def reconciler(self, actor: HookedClient) -> Reconciler:
        raise NotImplementedError

    async def change(self) -> None:
        raise NotImplementedError

    async def remove(self) -> None:
        kind = self.request.kind or "Skill"
        try:
            await self.client.delete(kind, self.request.name, domain=self.domain)
        except NotFound:
            return

    async def state(self) -> Any:
        found: list[str] = []
        for kind in _SNAPSHOT:
            for obj in (await self.client.list(kind, domain=self.domain)).items:
                found.append(self._plain(obj))
        return sorted(found)

    def _plain(self, obj: Mapping[str, Any]) -> str:
        uids = str(obj["metadata"]["uid"])
        metadata = {k: v for k, v in obj["metadata"].items() if k not in _SERVERS}
        text = json.dumps({**obj, "metadata": metadata}, sort_keys=True).replace(self.domain, "DOMAIN")
        text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}", "UID", text.replace(uids, "UID"))
        return _INSTANT.sub("INSTANT", text)

    async def synced(self, *kinds: str) -> dict[str, list[Mapping[str, Any]]]:
        """All objects of some kinds as they are now."""
        return {kind: list((await self.client.list(kind, domain=self.domain)).items) for kind in kinds}

    def toy(self, content: str = "a", **spec: Any) -> dict[str, Any]:
        artifact = {"digest": PACKED[content].digest, "sizeBytes": 1, "fileCount": 1}
        front = {"name": "toy", "description": "a toy"}
        return {
            "kind": "Skill",
            "metadata": {"name": "toy", "domain": self.domain},
            "spec": {"skillMd": front, "artifact": artifact, **spec},
        }

    async def respec(self, kind: str, name: str, **spec: Any) -> None:
        found = await self.client.get(kind, name, domain=self.domain)
        await self.client.update({**found, "spec": {**found["spec"], **spec}})


class Listed(Informers):
    """Informers that have seen what is there now, and see no more: as a controller at the moment of a reconcile."""

    @classmethod
    async def of_world(cls, world: DomainWorld, *kinds: str) -> "Listed":
        informers = cls(world.client)
        for kind in kinds:
            informer = informers.of(kind)
            for obj in (await world.client.list(kind, domain=world.domain)).items:
                informer._take(Request(world.domain, obj["metadata"]["name"]), obj, is_gone=False)  # pyright: ignore[reportPrivateUsage]
        return informers


class SkillWorld(DomainWorld):
    """A skill that is to be deployed."""

    reports_generation = True

    async def prepare(self) -> None:
        await super().prepare()
        self.request = Request(self.domain, "toy", "Skill")
        await self.client.create(self.toy("a"))

    async def reconciler(self, actor: HookedClient) -> Reconciler:
        return skill.SkillReconciler(actor, self.clock)

    async def change(self) -> None:
        await self.respec("Skill", "toy", artifact=self.toy("b")["spec"]["artifact"])

    async def state(self) -> Any:
        """Revisions of wishes that nobody has seen are not made: only what serves is the same whatever the way."""
        everything = await super().state()
        return everything, [text for text in everything if '"kind": "Revision"' not in text]


class KeyWorld(DomainWorld):
    """A key that has expired."""

    reports_generation = True

    async def prepare(self) -> None:
        await super().prepare()
        self.request = Request(self.domain, "toy", "ApiKey")
        await self._make(datetime.now(UTC) - timedelta(days=1))

    async def _make(self, expires_at: datetime) -> None:
        spec = {"owner": "somebody", "expiresAt": rfc3339(expires_at)}
        await self.client.create({"kind": "ApiKey", "metadata": {"name": "toy", "domain": self.domain}, "spec": spec})

    async def reconciler(self, actor: HookedClient) -> Reconciler:
        return keys.KeyReconciler(actor, self.clock)

    async def change(self) -> None:
        later = rfc3339(datetime.now(UTC) - timedelta(hours=1))
        await self.respec("ApiKey", "toy", expiresAt=later)


class OldKeyWorld(KeyWorld):
    """A key that expired long ago."""

    reports_generation = False

    async def prepare(self) -> None:
        await super().prepare()
        self.clock.ahead = timedelta(days=40)

    async def change(self) -> None:
        try:
            await super().change()
        except NotFound:
            return


class GarbageWorld(DomainWorld):
    """A route whose owner is gone."""

    async def prepare(self) -> None:
        await super().prepare()
        self.request = Request(self.domain, "toy.staging", "Route")
        owner = {"kind": "Skill", "name": "toy", "uid": "gone"}
        metadata = {"name": "toy.staging", "domain": self.domain, "ownerReferences": [owner]}
        spec = {"skill": "toy", "environment": "staging", "traffic": []}
        await self.client.create({"kind": "Route", "metadata": metadata, "spec": spec})

    async def reconciler(self, actor: HookedClient) -> Reconciler:
        scopes = {kind.kind: kind.scope for kind in load_kinds()}
        informers = await Listed.of_world(self, "Skill", "Revision", "Route")
        return garbage.GarbageReconciler(actor, garbage.Graph(informers, scopes), scopes)

    async def change(self) -> None:
        try:
            found = await self.client.get("Route", "toy.staging", domain=self.domain)
        except NotFound:
            return
        await self.client.update({**found, "metadata": {**found["metadata"], "labels": {"changed": "yes"}}})


class ForegroundWorld(GarbageWorld):
    """A skill that is being deleted, and waits for its route."""

    async def prepare(self) -> None:
        await DomainWorld.prepare(self)
        self.request = Request(self.domain, "toy", "Skill")
        made = await self.client.create(self.toy())
        owner = {"kind": "Skill", "name": "toy", "uid": made["metadata"]["uid"]}
        metadata = {"name": "toy.staging", "domain": self.domain, "ownerReferences": [owner]}
        spec = {"skill": "toy", "environment": "staging", "traffic": []}
        await self.client.create({"kind": "Route", "metadata": metadata, "spec": spec})
        await self.client.delete("Skill", "toy", domain=self.domain, propagation=self.propagation)

    propagation: Any = "Foreground"


class OrphanWorld(ForegroundWorld):
    """A skill that is being deleted, and lets its route go."""

    propagation = "Orphan"


class RevisionWorld(DomainWorld):
    """A skill with a revision too many."""

    async def prepare(self) -> None:
        await super().prepare()
        await self.client.create(self.toy("a"))
        for content in "abc":
            await self.respec("Skill", "toy", artifact=self.toy(content)["spec"]["artifact"])
            await skill.SkillReconciler(self.client, self.clock).reconcile(self.request)
        self.clock.ahead = timedelta(days=2)
        self._idle: dict[Request, dict[str, float]] = {}

    async def reconciler(self, actor: HookedClient) -> Reconciler:
        informers = await Listed.of_world(self, "Skill", "Revision", "Route")
        made = revisions.RevisionReconciler(actor, actor, informers, self.clock, Policy(kept_revisions=1))
        made._idle_since = self._idle  # pyright: ignore[reportPrivateUsage]
        for revision in informers.of("Revision").objects():
            long_ago = self.clock.monotonic() - 2 * revisions.IDLE_SECONDS
            self._idle.setdefault(self.request, {})[revision["metadata"]["uid"]] = long_ago
        return made

    async def change(self) -> None:
        try:
            await self.respec("Skill", "toy", description="changed")
        except NotFound:
            return


class HealthWorld(DomainWorld):
    """A skill that fails too often."""

    async def prepare(self) -> None:
        await super().prepare()
        self.records.answers["health"] = {"succeeded": 10, "failed": 90, "costMicroUsd": 0}
        await self.client.create(self.toy("a", monitoring={"thresholds": {"errorRateBp": 500}}))

    async def reconciler(self, actor: HookedClient) -> Reconciler:
        return health.HealthReconciler(actor, actor, self.clock)

    async def change(self) -> None:
        await self.respec("Skill", "toy", monitoring={"thresholds": {"errorRateBp": 600}})


WORLDS: Mapping[str, Callable[[Client, str], DomainWorld]] = {
    "skill": SkillWorld,
    "key": KeyWorld,
    "old-key": OldKeyWorld,
    "garbage": GarbageWorld,
    "foreground": ForegroundWorld,
    "orphan": OrphanWorld,
    "revisions": RevisionWorld,
    "health": HealthWorld,
}


def worlds_of(client: Client, name: str) -> NewWorld:
    """Makes such worlds."""

    @asynccontextmanager
    async def new_world() -> AsyncGenerator[World]:
        world = WORLDS[name](client, f"w{next(_numbers)}")
        await world.prepare()
        yield world

    return new_world
