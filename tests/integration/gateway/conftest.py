"""The whole object door over a real PostgreSQL and real HTTP."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn
from starlette.types import ASGIApp
from tests.integration.ledger.conftest import Site, pay, send, wanted
from tests.servers import PromptServer

from aspora.access.keys import KeyId, mint_key
from aspora.apis.builtins import load_kinds
from aspora.apis.conversion import KindForms
from aspora.apis.kind import Kind
from aspora.artifacts.interface import ArtifactStore
from aspora.artifacts.store import open_artifacts
from aspora.audit.trail import Audit
from aspora.db.listen import Listener
from aspora.db.pool import Database
from aspora.gateway.app import AppConfig, build_app
from aspora.gateway.artifacts import ArtifactDoor, artifact_routes
from aspora.gateway.budgets.contract import SCHEMAS as BUDGET_SCHEMAS
from aspora.gateway.budgets.routes import budget_routes
from aspora.gateway.connection import BoundedConnection
from aspora.gateway.history.contract import SCHEMAS as HISTORY_SCHEMAS
from aspora.gateway.history.routes import CHANNELS as HISTORY_CHANNELS
from aspora.gateway.history.routes import HistoryDoor, history_routes
from aspora.gateway.objects.assembly import ObjectParts, assemble
from aspora.gateway.objects.bootstrap import admin_key, system_key
from aspora.gateway.openapi import openapi_document, openapi_routes
from aspora.gateway.serve.contract import SCHEMAS as EXECUTION_SCHEMAS
from aspora.gateway.streams import Streams
from aspora.kit.clock import SystemClock
from aspora.ledger.interface import Attribution, Limit, Reservation, Scope, ScopeKind, Unit, Window
from aspora.models.defaults import default_objects
from aspora.sealing.check import settle_key
from aspora.sealing.cipher import SecretKey, new_key
from aspora.sealing.keyring import Keyring
from aspora.skills.archive import ArchiveFile, write_archive
from aspora.store.postgres import BOOKMARK_SECONDS, CHANNEL, PostgresStore
from aspora.telemetry.metrics import Metrics

PACKED = {letter: write_archive([ArchiveFile("SKILL.md", letter.encode())]) for letter in "abc"}
"""Artifacts that every `door` has in its store."""


@dataclass
class Reply:
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    warnings: list[str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Api:
    """One caller's view of the API."""

    def __init__(self, session: aiohttp.ClientSession, base: str, key: str) -> None:
        self._session = session
        self.base = base
        self._key = key

    def with_key(self, key: str) -> "Api":
        return Api(self._session, self.base, key)

    async def call(
        self, method: str, path: str, body: Any = None, *, data: bytes | None = None, headers: Mapping[str, str] = {}
    ) -> Reply:
        sent = {"authorization": f"Bearer {self._key}", **headers}
        if body is not None:
            data = json.dumps(body).encode()
            sent.setdefault("content-type", "application/json")
        async with self._session.request(method, self.base + path, data=data, headers=sent) as answer:
            warnings = answer.headers.getall("Warning", [])
            return Reply(answer.status, answer.headers, list(warnings), await answer.read())

    async def get(self, path: str, **more: Any) -> Reply:
        return await self.call("GET", path, **more)

    async def post(self, path: str, body: Any, **more: Any) -> Reply:
        return await self.call("POST", path, body, **more)

    async def put(self, path: str, body: Any, **more: Any) -> Reply:
        return await self.call("PUT", path, body, **more)

    async def delete(self, path: str, **more: Any) -> Reply:
        return await self.call("DELETE", path, **more)

    async def patch(self, path: str, body: Any, **more: Any) -> Reply:
        return await self.call("PATCH", path, body, headers={"content-type": "application/merge-patch+json"}, **more)

    @asynccontextmanager
    async def lines(self, path: str, **headers: str) -> AsyncGenerator["Lines"]:
        sent = {"authorization": f"Bearer {self._key}", **headers}
        async with self._session.get(self.base + path, headers=sent) as answer:
            yield Lines(answer)


class Lines:
    """A stream of JSON lines."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer
        self.status = answer.status

    async def next(self, *, timeout_seconds: float = 30) -> Any:
        async with asyncio.timeout(timeout_seconds):
            line = await self.answer.content.readline()
        return json.loads(line) if line else None


@dataclass
class Door:
    """A running gateway."""

    api: Api
    app: ASGIApp
    admin_key: str
    parts: ObjectParts
    store: PostgresStore
    streams: Streams
    artifacts: ArtifactStore
    stop: asyncio.Event
    audit: Audit
    key: SecretKey
    keyring: Keyring


@pytest.fixture
async def door(database: Database, dsn: str, tmp_path: Path) -> AsyncGenerator[Door]:
    async with open_door(database, dsn, tmp_path) as opened:
        yield opened


@asynccontextmanager
async def open_door(
    database: Database,
    dsn: str,
    tmp_path: Path,
    *,
    more_kinds: Sequence[Kind] = (),
    bookmark_seconds: float = BOOKMARK_SECONDS,
) -> AsyncGenerator[Door]:
    """A gateway with Aspora's own kinds and some more."""
    kinds = [*load_kinds(), *more_kinds]
    clock, metrics, stop = SystemClock(), Metrics(), asyncio.Event()
    listener = Listener(dsn, [CHANNEL, *HISTORY_CHANNELS])
    store = PostgresStore(database, listener, clock, forms=KindForms(kinds), bookmark_seconds=bookmark_seconds)
    streams = Streams(metrics=metrics)
    audit = Audit(database)
    artifacts = open_artifacts(tmp_path / "artifacts")
    for packed in PACKED.values():
        await artifacts.put(packed.data)
    key = new_key()
    keyring = Keyring(await settle_key(database, lambda: key, new_key, place="a test"), lambda: key)
    parts = assemble(
        store=store,
        kinds=kinds,
        tail_age_seconds=store.tail_age_seconds,
        artifacts=artifacts,
        clock=clock,
        metrics=metrics,
        streams=streams,
        trail=audit,
        sealer=keyring,
        records={**EXECUTION_SCHEMAS, **HISTORY_SCHEMAS, **BUDGET_SCHEMAS},
    )
    history = HistoryDoor(
        database=database, audit=audit, listener=listener, reader=parts.view, streams=streams, clock=clock
    )
    own = [*artifact_routes(ArtifactDoor(artifacts, parts.view)), *history_routes(history)]
    own += budget_routes(database, parts.view, clock, audit)
    config = AppConfig(
        authenticate=parts.authenticate,
        impersonate=parts.authenticate.impersonate,
        trail=audit,
        clock=clock,
        metrics=metrics,
        version="0.0.0",
        ready_checks={"database": database.ping, "view": parts.view.require_fresh},
    )
    api_doc = openapi_routes(lambda: openapi_document(kinds, own, version="0.0.0"))
    app = build_app(config, [own, api_doc, parts.routes])
    admin = mint_key(KeyId("", "admin")).text
    server = PromptServer(
        uvicorn.Config(app, port=0, http=BoundedConnection, log_level="warning", lifespan="off", access_log=False)
    )
    tasks = [
        asyncio.create_task(t, name=n)
        for n, t in {"listen": listener.run(stop), "store": store.run(stop), "history": history.run(stop)}.items()
    ]
    await parts.bootstrap.run(shipped=default_objects(), keys=[admin_key(admin), system_key(mint_key().text)])
    tasks.append(asyncio.create_task(parts.view.run(stop), name="view"))
    tasks.append(asyncio.create_task(server.serve(), name="http"))
    await parts.view.wait_synced()
    while not server.started:
        await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with aiohttp.ClientSession() as session:
        api = Api(session, f"http://127.0.0.1:{port}", admin)
        yield Door(api, app, admin, parts, store, streams, artifacts, stop, audit, key, keyring)
    streams.close_all()
    server.stop()
    stop.set()
    await asyncio.gather(*tasks)


@pytest.fixture
def api(door: Door) -> Api:
    return door.api


def reservation(domain: str) -> Reservation:
    under = (
        Limit(Scope(ScopeKind.SKILL, f"{domain}/s"), Window.DAY, 1000),
        Limit(Scope(ScopeKind.SKILL, f"{domain}/s"), Window.DAY, 10, Unit.REQUESTS),
        Limit(Scope(ScopeKind.DOMAIN, domain), Window.MONTH, 100_000),
        Limit(Scope(ScopeKind.PLATFORM, ""), Window.MONTH, None),
    )
    who = Attribution(domain=domain, skill="s", user="ann", revision=f"{domain}-r1")
    return replace(wanted(100, under=under), attribution=who, route={"rule": "cheap first"})


@pytest.fixture
async def site(database: Database, door: Door) -> AsyncGenerator[Site]:
    """Two domains: each has a settled call, ecm has one in doubt and one under way too."""
    for name in ("ecm", "fraud"):
        assert (await door.api.post("/api/v1/domains", {"metadata": {"name": name}, "spec": {}})).status == 201
    site = Site(database)
    site.clock.at = (await site.rows("select now() as at"))[0]["at"]
    ledger = await site.open()
    for domain in ("ecm", "fraud"):
        await pay(ledger, reservation(domain), 96, input_tokens=5, output_tokens=6)
    await ledger.doubt(await send(ledger, reservation("ecm")))
    await send(ledger, reservation("ecm"))
    yield site
    await ledger.close()
