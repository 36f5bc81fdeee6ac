"""The document of the gateway as `aspora up` builds it, and answers that are as it says."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from aspora.access.keys import KeyId, mint_key
from aspora.apis.revision import revision_name
from aspora.artifacts.store import open_artifacts
from aspora.client.asgi_transport import AsgiTransport
from aspora.client.transport import Request
from aspora.db.listen import Listener
from aspora.db.pool import Database
from aspora.gateway.objects.bootstrap import admin_key
from aspora.kit.clock import SystemClock
from aspora.ledger.local import LocalLedger
from aspora.main.database_clock import DatabaseClock
from aspora.main.gateway_process import _build
from aspora.main.settings import Settings
from aspora.main.spending import new_call_id
from aspora.meta.names import NodeId
from aspora.records.nodes import NodeFacts, Nodes
from aspora.sealing.check import settle_key
from aspora.sealing.cipher import new_key
from aspora.sealing.keyring import Keyring
from aspora.skills.archive import ArchiveFile, write_archive

DOMAIN = "/api/v1/domains/default"
EXECUTIONS = f"{DOMAIN}/executions"
RUNNABLE = write_archive([ArchiveFile("SKILL.md", b"Do it."), ArchiveFile("code/handler.py", b"")])
ARTIFACT = {"digest": RUNNABLE.digest, "sizeBytes": len(RUNNABLE.data), "fileCount": 2}
SKILL_SPEC = {
    "skillMd": {"name": "s", "description": "d"},
    "artifact": ARTIFACT,
    "runtime": {"language": "python", "entryPoint": "code/handler.py"},
}


class Gateway:
    """The real application, called in this process; answers are held against its own document."""

    def __init__(self, app: Any, key: str) -> None:
        self._transport = AsgiTransport(app, api_key=key)
        self.document: Any = None

    async def call(self, method: str, path: str, body: Any = None, **query: str) -> tuple[int, Any]:
        sent = None if body is None else json.dumps(body).encode()
        answer = await self._transport.request(Request(method, path, query, sent), timeout_seconds=20)
        lines = answer.body.decode().splitlines()
        return answer.status, [json.loads(line) for line in lines] if path.endswith("/events") else json.loads(lines[0])

    def check(self, template: str, method: str, status: int, body: Any) -> None:
        """The body is as the document says of this path, method and status."""
        [media] = self.document["paths"][template][method]["responses"][str(status)]["content"].values()
        schema = {**media["schema"], "components": self.document["components"]}
        Draft202012Validator.check_schema(schema)
        for value in body if isinstance(body, list) else [body]:
            Draft202012Validator(schema).validate(value)


@pytest.fixture
async def gateway(database: Database, dsn: str, tmp_path: Path) -> Gateway:
    artifacts = open_artifacts(tmp_path / "artifacts")
    await artifacts.put(RUNNABLE.data)
    secret = new_key()
    keyring = Keyring(await settle_key(database, lambda: secret, new_key, place="a test"), lambda: secret)
    clock = await DatabaseClock.open(database, SystemClock())
    ledger = LocalLedger(clock=clock, new_id=new_call_id)
    built = _build(
        Settings(data_dir=tmp_path), database, Listener(dsn, []), artifacts, keyring, clock, ledger, asyncio.Event()
    )
    key = mint_key(KeyId("", "admin")).text
    await built.objects.bootstrap.run(shipped=[], keys=[admin_key(key)])
    made = Gateway(built.app, key)
    _, made.document = await made.call("GET", "/openapi.json")
    return made


async def add_skill(gateway: Gateway) -> None:
    digest = "sha256:" + "1" * 64
    revision = revision_name("s", digest)
    snapshot = {"skill": "s", "digest": digest, "version": "1", "skillSpec": SKILL_SPEC}
    traffic = [{"revision": revision, "shareBp": 10_000}]
    for plural, name, spec in (
        ("skills", "s", SKILL_SPEC),
        ("revisions", revision, snapshot),
        ("routes", "s.production", {"skill": "s", "environment": "production", "traffic": traffic}),
    ):
        status, answer = await gateway.call("POST", f"{DOMAIN}/{plural}", {"metadata": {"name": name}, "spec": spec})
        assert status == 201, answer


async def test_the_document_of_the_real_application_is_valid(gateway: Gateway) -> None:
    validate(gateway.document)
    operations = [op for item in gateway.document["paths"].values() for op in item.values()]
    assert len({op["operationId"] for op in operations}) == len(operations)
    run = gateway.document["paths"]["/api/v1/domains/{domain}/skills/{skill}/executions"]["post"]
    assert {p["name"] for p in run["parameters"] if "name" in p} == {"domain", "skill", "wait", "Idempotency-Key"}
    assert {"$ref": "#/components/parameters/ImpersonateUser"} in run["parameters"]
    assert run["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/RunRequest"}


async def test_every_path_of_executions_and_nodes_says_what_it_gives(gateway: Gateway) -> None:
    paths = {p: item for p, item in gateway.document["paths"].items() if "executions" in p or "/nodes" in p}
    assert len(paths) == 11
    for item in paths.values():
        for operation in item.values():
            answers = {code: answer for code, answer in operation["responses"].items() if code.startswith("2")}
            assert answers
            assert all(answer["content"] for answer in answers.values())


async def test_executions_are_as_the_document_says(gateway: Gateway) -> None:
    await add_skill(gateway)
    run = "/api/v1/domains/{domain}/skills/{skill}/executions"
    given = {"input": {"userMessage": "hi", "userId": "u", "metadata": {"n": 1}}, "trigger": {"type": "api"}}
    components = gateway.document["components"]
    Draft202012Validator({**components["schemas"]["RunRequest"], "components": components}).validate(given)
    status, made = await gateway.call("POST", f"{DOMAIN}/skills/s/executions", given, wait="1")
    assert status == 202, made["message"]
    gateway.check(run, "post", 202, made)
    name = made["metadata"]["name"]
    status, events = await gateway.call("GET", f"{EXECUTIONS}/{name}/events")
    assert events
    gateway.check("/api/v1/executions/{name}/events", "get", status, events)
    status, ended = await gateway.call("POST", f"{EXECUTIONS}/{name}/cancel", wait="0")
    assert ended["status"]["state"] == "Cancelled"
    gateway.check("/api/v1/domains/{domain}/executions/{name}/cancel", "post", status, ended)
    status, found = await gateway.call("GET", EXECUTIONS, state="Cancelled", limit="5", since="2020-01-01T00:00:00Z")
    assert len(found["items"]) == 1
    gateway.check("/api/v1/domains/{domain}/executions", "get", status, found)


async def test_nodes_are_as_the_document_says(gateway: Gateway, database: Database) -> None:
    nodes = Nodes(database)
    facts = NodeFacts(id=NodeId("n-1"), role="executor", host="h", pid=7, version="1")
    owner = await nodes.register(facts, ttl_seconds=60)
    await nodes.renew(owner, ttl_seconds=60, classes=["inline"])
    await nodes.stop(owner)
    status, one = await gateway.call("GET", "/api/v1/nodes/n-1")
    gateway.check("/api/v1/nodes/{name}", "get", status, one)
    status, found = await gateway.call("GET", "/api/v1/nodes")
    assert len(found["items"]) == 1
    gateway.check("/api/v1/nodes", "get", status, found)
