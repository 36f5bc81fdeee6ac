"""What `/v1` does when clients leave in crowds, and when the database goes away under it.

Some clients and seconds by default; 500 and ten with `ASPORA_TEST_FAULTS=full` (`make test-faults`).
"""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import psycopg
import pytest
from tests.e2e.server import Aspora, started
from tests.servers import free_port

from aspora.db.attach import attached_dsn
from aspora.testing.model_server import ModelServer, parse_script

pytestmark = pytest.mark.timeout(240)

IS_FULL = os.environ.get("ASPORA_TEST_FAULTS") == "full"
CLIENTS = 500 if IS_FULL else 50
AWAY_SECONDS = 10.0 if IS_FULL else 2.0
PORT = free_port()
BODY: Any = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "go on"}]}
DRIP = {"answer": "word " * 200, "fault": {"kind": "slow", "delay_seconds": 0.5}}
ANSWER = {"answer": "fine", "usage": {"prompt_tokens": 9, "completion_tokens": 1, "cost": "0.0001"}}


@pytest.fixture(scope="module")
def aspora() -> Generator[Aspora]:
    with started(ASPORA_MODEL_URL=f"http://127.0.0.1:{PORT}/v1") as running:
        yield running


@asynccontextmanager
async def upstream(rule: Any) -> AsyncGenerator[ModelServer]:
    async with ModelServer(parse_script({"rules": [rule]}), port=PORT) as server:
        yield server


def rows(aspora: Aspora) -> tuple[int, int, int]:
    """Settled calls, those of them that were cut and cost something, and intents that are not settled."""
    with psycopg.connect(attached_dsn(aspora.data_dir, uid=os.geteuid())) as connection:
        row = connection.execute(
            "select count(*), count(*) filter (where outcome = 'cancelled' and cost > 0),"
            " (select count(*) from ledger_intents) from ledger_calls"
        ).fetchone()
        assert row is not None
        return int(row[0]), int(row[1]), int(row[2])


def session(aspora: Aspora) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {aspora.key}"},
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=60),
    )


async def test_each_of_many_clients_that_hang_up_in_mid_stream_leaves_a_costed_row(aspora: Aspora) -> None:
    before = await asyncio.to_thread(rows, aspora)

    async def hang_up(client: aiohttp.ClientSession) -> None:
        response = await client.post(f"{aspora.url}/v1/chat/completions", json={**BODY, "stream": True})
        assert response.status == 200
        await response.content.readany()
        response.close()

    async with upstream(DRIP) as server, session(aspora) as client:
        await asyncio.gather(*(hang_up(client) for _ in range(CLIENTS)))
        async with asyncio.timeout(60):
            await asyncio.gather(*(request.done.wait() for request in server.completions))
            while (found := await asyncio.to_thread(rows, aspora))[1] < before[1] + CLIENTS:
                await asyncio.sleep(0.1)
        assert {request.outcome for request in server.completions} == {"client left"}
    assert (found[0] - before[0], found[1] - before[1], found[2]) == (CLIENTS, CLIENTS, 0)


async def test_while_the_database_hangs_no_call_goes_out_unpaid_and_then_it_heals(aspora: Aspora) -> None:
    postmaster = int((aspora.data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    before = await asyncio.to_thread(rows, aspora)
    statuses: list[int] = []

    async def ask(client: aiohttp.ClientSession) -> int:
        async with client.post(f"{aspora.url}/v1/chat/completions", json=BODY) as response:
            await response.read()
            return response.status

    async with upstream(ANSWER) as server, session(aspora) as client:
        assert await ask(client) == 200
        children = [int(p) for p in _children(postmaster)]
        for pid in (postmaster, *children):
            os.kill(pid, signal.SIGSTOP)
        try:
            asking = [asyncio.create_task(ask(client)) for _ in range(8)]
            await asyncio.sleep(AWAY_SECONDS)
            sent_meanwhile = len(server.completions) - 1
        finally:
            for pid in (*children, postmaster):
                os.kill(pid, signal.SIGCONT)
        statuses = await asyncio.gather(*asking)
        async with asyncio.timeout(60):
            while await ask(client) != 200:
                await asyncio.sleep(0.2)
        sent = len(server.completions)
        async with asyncio.timeout(60):
            while (found := await asyncio.to_thread(rows, aspora))[0] - before[0] < sent:
                await asyncio.sleep(0.1)
    assert sent_meanwhile == 0, "an intent is kept before a call goes out"
    assert set(statuses) <= {200, 503}
    assert found[0] - before[0] == sent


def _children(pid: int) -> list[str]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return file.read().split()
