"""Secrets over real HTTP and a real database: values go in, are sealed, and never come out."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from aspora.db.pool import Database
from aspora.sealing.check import check_key, settle_key
from aspora.sealing.cipher import SecretKey, new_key, seal
from aspora.sealing.key_file import find_key, write_key
from aspora.sealing.keyring import Keyring
from aspora.store.interface import Key, Write

from .conftest import Api, Door, Lines

PATH = "/api/v1/domains/default/secrets"
VALUE = "hunter2-is-not-it"


def secret(name: str = "crm", **data: Any) -> dict[str, Any]:
    return {"kind": "Secret", "metadata": {"name": name}, "spec": {"data": data or {"token": VALUE}}}


async def stored(database: Database) -> str:
    """Every byte of text that the database keeps about objects."""
    async with database.connection() as connection:
        cursor = await connection.execute(
            b"select object::text as t from objects union all select concat(object, previous) from object_events"
        )
        return "\n".join([row["t"] for row in await cursor.fetchall()])


async def test_values_go_in_and_never_come_out(door: Door, database: Database) -> None:
    api = door.api
    made = await api.post(PATH, secret(token=VALUE, user="ü"))
    assert made.status == 201
    entries = [{"name": "token", "sizeBytes": len(VALUE)}, {"name": "user", "sizeBytes": 2}]
    assert made.json()["spec"] == {"description": "", "entries": entries}
    forms = [{"accept": f"application/json;as={form}"} for form in ("Table", "Description")]
    asked = [(f"{PATH}/crm", {}), (PATH, {}), ("/api/v1/secrets", {}), *((f"{PATH}/crm", form) for form in forms)]
    for path, headers in asked:
        answer = await api.get(path, headers=headers)
        assert answer.status == 200
        assert VALUE not in answer.body.decode()
        assert "sealed" not in answer.body.decode()
    assert VALUE not in await stored(database)
    async with api.lines(f"{PATH}?watch=true") as lines:
        assert "sealed" not in json.dumps(await lines.next())
    key = door.keyring
    [row] = (await door.store.list("Secret")).items
    assert key.open(row["spec"]["sealed"], place="Secret/default/crm") == {"token": VALUE, "user": "ü"}


async def test_the_same_values_again_write_nothing_and_others_replace_all(door: Door) -> None:
    api = door.api
    made = (await api.post(PATH, secret(a="1", b="2"))).json()
    same = (await api.put(f"{PATH}/crm", {**made, "spec": {"data": {"a": "1", "b": "2"}}})).json()
    assert same["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    told = (await api.put(f"{PATH}/crm", {**made, "spec": {"description": "for the CRM"}})).json()
    assert [e["name"] for e in told["spec"]["entries"]] == ["a", "b"]
    fresh = (await api.patch(f"{PATH}/crm", {"spec": {"data": {"c": "3"}}})).json()
    assert [e["name"] for e in fresh["spec"]["entries"]] == ["c"]
    [row] = (await door.store.list("Secret")).items
    assert door.keyring.open(row["spec"]["sealed"], place="Secret/default/crm") == {"c": "3"}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({}, "spec.data"),
        ({"data": {}}, "spec.data"),
        ({"data": {"a": 5}}, "spec.data.a"),
        ({"data": {"Bad Name": "x"}}, "spec.data.Bad Name"),
        ({"data": {"big": "x" * 65_537}}, "spec.data.big"),
        ({"sealed": "v1.k.a.b.c", "entries": []}, "spec.data"),
    ],
)
async def test_what_can_t_be_a_secret(api: Api, spec: dict[str, Any], path: str) -> None:
    refused = await api.post(PATH, {"kind": "Secret", "metadata": {"name": "crm"}, "spec": spec})
    assert refused.status == 422
    assert path in [detail["field"] for detail in refused.json()["details"]]


async def test_nobody_selects_by_what_is_hidden(api: Api) -> None:
    assert (await api.get(f"{PATH}?fieldSelector=spec.sealed%3Dx")).status == 400


async def test_a_lost_key_destroys_nothing_and_the_right_one_heals(
    door: Door, database: Database, tmp_path: Path
) -> None:
    api, path, key = door.api, tmp_path / "found.key", door.key
    await api.post(PATH, secret())
    before = await door.store.list("Secret")

    def find() -> SecretKey | None:
        return find_key("", path)

    def make() -> SecretKey:
        raise AssertionError("a second key must never be made")

    for text, fault in ((None, "SecretKeyMissing"), (new_key().text, "SecretKeyWrong"), ("x", "SecretKeyUnreadable")):
        path.unlink(missing_ok=True)
        if text:
            path.write_text(text)
        state = await settle_key(database, find, make, place=str(path))
        assert (state.fault, state.key, state.wanted_id) == (fault, None, key.key_id)
        assert str(path) in state.message
        door.keyring.__init__(state, find)
        assert await door.parts.secrets.mark(state) == 1
        refused = await api.post(PATH, secret("other"))
        assert refused.status == 503
        assert str(path) in refused.json()["message"]
        shown = (await api.get(f"{PATH}/crm")).json()
        assert shown["status"]["conditions"][0]["reason"] == fault
        assert await door.parts.secrets.mark(state) == 0, "told once"
    assert [o["spec"] for o in (await door.store.list("Secret")).items] == [o["spec"] for o in before.items]
    path.unlink()
    write_key(path, key.text)
    assert (await api.post(PATH, secret("other"))).status == 201, "healed without a restart"
    healed = door.keyring.state()
    assert await door.parts.secrets.mark(healed) == 1
    assert (await api.get(f"{PATH}/crm")).json()["status"]["conditions"][0]["status"] == "True"


async def test_secrets_become_ready_again_while_the_gateway_runs(
    door: Door, database: Database, tmp_path: Path
) -> None:
    api, key, found = door.api, door.key, list[SecretKey]()

    def find() -> SecretKey | None:
        return found[0] if found else None

    def make() -> SecretKey:
        raise AssertionError("a second key must never be made")

    await api.post(PATH, secret())
    door.keyring.__init__(await settle_key(database, find, make, place="there"), find)
    assert await door.parts.secrets.mark(door.keyring.state()) == 1
    stop = asyncio.Event()
    healing = asyncio.create_task(door.parts.secrets.run(door.keyring.state, stop, every_seconds=0.01))
    try:
        async with api.lines(f"{PATH}?watch=true") as lines:
            assert await next_ready(lines) == "False"
            found.append(key)
            assert await next_ready(lines) == "True", "the key has come back"
            # As after a restore beside another key: this one is sealed with a key that nobody has.
            [stored] = (await door.store.list("Secret")).items
            strange = seal(new_key(), {"token": VALUE}, place="Secret/default/crm")
            changed = {**stored, "spec": {**stored["spec"], "sealed": strange}}
            version = stored["metadata"]["resourceVersion"]
            await door.store.write(
                [Write("update", Key("Secret", "default", "crm"), changed, expected_version=version)]
            )
            assert await next_ready(lines) == "True", "a gateway that runs marks nothing as bad"
            assert await door.parts.secrets.mark(door.keyring.state()) == 1
            assert await next_ready(lines) == "False"
            await api.patch(f"{PATH}/crm", {"spec": {"data": {"token": "new"}}})
            while await next_ready(lines) == "False":
                pass
    finally:
        stop.set()
        await healing


async def next_ready(lines: Lines) -> str:
    while (event := await lines.next())["type"] == "BOOKMARK":
        pass
    return event["object"]["status"]["conditions"][0]["status"]


async def test_the_first_start_registers_a_key_and_the_next_only_looks(database: Database, tmp_path: Path) -> None:
    path, made = tmp_path / "secret.key", []

    def make() -> SecretKey:
        made.append(new_key())
        write_key(path, made[-1].text)
        return made[-1]

    async def start() -> Keyring:
        return Keyring(await settle_key(database, lambda: find_key("", path), make, place=str(path)), lambda: None)

    keyrings = [await start(), await start()]
    assert len(made) == 1
    assert {k.state().wanted_id for k in keyrings} == {made[0].key_id}
    async with database.connection() as connection:
        assert (await check_key(connection, lambda: made[0], place="")).fault == ""
