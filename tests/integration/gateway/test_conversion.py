"""A kind that changed its schema: objects stored before are read, listed, watched, selected and written as of today."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from aspora.apis.kind import Kind, Scope
from aspora.db.listen import Listener
from aspora.db.pool import Database
from aspora.kit.clock import SystemClock
from aspora.meta.objects import ApiModel
from aspora.store.interface import Key, Write
from aspora.store.postgres import CHANNEL, PostgresStore

from .conftest import open_door

PATH = "/api/v1/domains/default/gadgets"


class OldSpec(ApiModel):
    """Version 1."""

    colour: str = "grey"
    size_millimetres: int = Field(ge=1)


class NewSpec(ApiModel):
    """Version 3."""

    paint: str = "grey"
    size_micrometres: int = Field(ge=1)


def to_2(obj: Mapping[str, Any]) -> dict[str, Any]:
    """`colour` is called `paint`."""
    spec = dict(obj["spec"])
    spec["paint"] = spec.pop("colour")
    return {**obj, "spec": spec}


def to_3(obj: Mapping[str, Any]) -> dict[str, Any]:
    """Sizes in micrometres."""
    spec = dict(obj["spec"])
    spec["sizeMicrometres"] = spec.pop("sizeMillimetres") * 1000
    return {**obj, "spec": spec}


OLD = Kind(kind="Gadget", plural="gadgets", scope=Scope.DOMAIN, spec=OldSpec)
NEW = Kind(kind="Gadget", plural="gadgets", scope=Scope.DOMAIN, spec=NewSpec, converters=(to_2, to_3))


def gadget(name: str, **spec: Any) -> dict[str, Any]:
    return {"kind": "Gadget", "metadata": {"name": name}, "spec": spec}


async def stored(database: Database, name: str) -> dict[str, Any]:
    async with database.connection() as connection:
        cursor = await connection.execute(b"select object from objects where kind = 'Gadget' and name = %s", [name])
        row = await cursor.fetchone()
        assert row
        return row["object"]


@pytest.fixture
async def former(database: Database, dsn: str, tmp_path: Path) -> dict[str, Any]:
    """Gadgets as the release before stored them; answers `red` as it was shown then."""
    async with open_door(database, dsn, tmp_path, more_kinds=[OLD]) as door:
        for name, colour in (("red", "red"), ("blue", "blue")):
            made = await door.api.post(PATH, gadget(name, colour=colour, sizeMillimetres=4))
            assert made.status == 201
        return (await door.api.get(f"{PATH}/red")).json()  # type: ignore[no-any-return]


async def test_through_every_door(former: dict[str, Any], database: Database, dsn: str, tmp_path: Path) -> None:
    version = former["metadata"]["resourceVersion"]
    async with open_door(database, dsn, tmp_path, more_kinds=[NEW]) as door:
        api = door.api
        red = (await api.get(f"{PATH}/red")).json()
        assert red == {**former, "spec": {"paint": "red", "sizeMicrometres": 4000}}
        assert (await api.post(PATH, gadget("new", paint="red", sizeMicrometres=7))).status == 201
        listed = (await api.get(PATH)).json()["items"]
        assert [o["spec"]["sizeMicrometres"] for o in listed] == [4000, 7, 4000]
        some = (await api.get(f"{PATH}?fieldSelector=spec.paint%3Dred")).json()["items"]
        assert [o["metadata"]["name"] for o in some] == ["new", "red"]
        paged = (await api.get(f"{PATH}?fieldSelector=spec.paint%3Dred&limit=1")).json()
        assert [o["metadata"]["name"] for o in paged["items"]] == ["new"], "the empty first page is passed over"
        rest = (
            await api.get(f"{PATH}?fieldSelector=spec.paint%3Dred&limit=1&continue={paged['metadata']['continue']}")
        ).json()
        assert [o["metadata"]["name"] for o in rest["items"]] == ["red"]
        before = int(version) - 1
        async with api.lines(f"{PATH}?watch=true&fieldSelector=spec.paint%3Dred&resourceVersion={before}") as lines:
            assert (await lines.next())["object"]["spec"] == {"paint": "red", "sizeMicrometres": 4000}
            assert (await lines.next())["object"]["metadata"]["name"] == "new"
            blue = (await api.get(f"{PATH}/blue")).json()
            painted = await api.put(f"{PATH}/blue", {**blue, "spec": {"paint": "red", "sizeMicrometres": 4000}})
            assert painted.status == 200
            event = await lines.next()
            assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "blue")
        assert (await stored(database, "blue"))["schemaVersion"] == 3
        assert "schemaVersion" not in await stored(database, "red"), "nothing is rewritten by itself"


async def test_the_next_write_stores_the_newest_form_and_wants_nothing_new(
    former: dict[str, Any], database: Database, dsn: str, tmp_path: Path
) -> None:
    async with open_door(database, dsn, tmp_path, more_kinds=[NEW]) as door:
        api = door.api
        red = (await api.get(f"{PATH}/red")).json()
        same = (await api.put(f"{PATH}/red", red)).json()
        assert same["spec"] == red["spec"]
        assert same["metadata"]["generation"] == 1, "a conversion is no change of what is wanted"
        assert "schemaVersion" not in same
        assert (await stored(database, "red"))["schemaVersion"] == 3
        again = (await api.put(f"{PATH}/red", same)).json()
        assert again["metadata"]["resourceVersion"] == same["metadata"]["resourceVersion"]
        blue = (await api.get(f"{PATH}/blue")).json()
        seen = await api.put(f"{PATH}/blue/status", {**blue, "status": {"observedGeneration": 1}})
        assert seen.json()["spec"] == {"paint": "blue", "sizeMicrometres": 4000}
        kept = await stored(database, "blue")
        assert (kept["schemaVersion"], kept["spec"]["paint"], kept["metadata"]["generation"]) == (3, "blue", 1)
    async with open_door(database, dsn, tmp_path, more_kinds=[OLD]) as older:
        refused = await older.api.put(
            f"{PATH}/red", gadget("red", colour="x", sizeMillimetres=1) | {"metadata": same["metadata"]}
        )
        assert refused.status == 409
        assert "stored by a newer Aspora (schema version 3, this one knows 1)" in refused.json()["message"]


async def test_an_object_that_no_step_can_read_hides_no_other(database: Database, dsn: str, tmp_path: Path) -> None:
    async with open_door(database, dsn, tmp_path, more_kinds=[NEW]) as door:
        odd = {"kind": "Gadget", "metadata": {}, "spec": {"shape": "odd"}}
        bare = PostgresStore(database, Listener(dsn, [CHANNEL]), SystemClock())
        await bare.write([Write("create", Key("Gadget", "default", "odd"), odd)])
        assert (await door.api.post(PATH, gadget("fine", paint="red", sizeMicrometres=7))).status == 201
        shown = (await door.api.get(PATH)).json()["items"]
        assert [o["spec"] for o in shown] == [{"paint": "red", "sizeMicrometres": 7}, {"shape": "odd"}]
        mended = {**shown[1], "spec": {"sizeMicrometres": 1}}
        assert (await door.api.put(f"{PATH}/odd", mended)).status == 200
