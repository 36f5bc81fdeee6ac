"""A domain and what is made in it at the same moment: no object is ever left without its domain."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aspora.db.pool import Database

ROLES = "/api/v1/domains/team/roles"


@asynccontextmanager
async def writers_held_back(database: Database) -> AsyncGenerator[Any]:
    """While it lasts writes wait in the database; gives a function that returns when so many do."""
    async with database.transaction() as holder, database.connection() as looker:
        await holder.execute("select aspora_lock_objects()")

        async def wait_for(count: int) -> None:
            async with asyncio.timeout(30):
                while True:
                    found = await looker.execute(
                        "select count(*) as n from pg_locks join pg_database as d on d.oid = database"
                        " where locktype = 'advisory' and not granted and datname = current_database()"
                    )
                    row = await found.fetchone()
                    if row is not None and row["n"] >= count:
                        return
                    await asyncio.sleep(0.01)

        yield wait_for


@pytest.mark.parametrize("first", ["create", "delete"])
async def test_of_a_create_and_the_domains_delete_that_race_one_is_refused(
    door: Any, database: Database, first: str
) -> None:
    api = door.api
    await api.post("/api/v1/domains", {"metadata": {"name": "team"}, "spec": {}})
    calls = {
        "create": lambda: api.post(ROLES, {"metadata": {"name": "r"}, "spec": {"rules": []}}),
        "delete": lambda: api.delete("/api/v1/domains/team"),
    }
    second = "delete" if first == "create" else "create"
    # Both have looked and found nothing against them before either writes.
    async with writers_held_back(database) as wait_for:
        ahead = asyncio.create_task(calls[first]())
        await wait_for(1)
        behind = asyncio.create_task(calls[second]())
        async with asyncio.timeout(30):
            while door.store.waiting_writers == 0:
                await asyncio.sleep(0.01)
    assert (await ahead).status in {200, 201}
    answer = await behind
    assert (answer.status, answer.json()["reason"]) == (409, "Conflict")
    domain_status = (await api.get("/api/v1/domains/team")).status
    roles = (await api.get("/api/v1/roles?fieldSelector=metadata.name=r")).json()["items"]
    assert (domain_status, len(roles)) == ((200, 1) if first == "create" else (404, 0))
