"""Circuits on a real PostgreSQL, as two processes see them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from aspora.circuits.interface import Upstream
from aspora.circuits.shared import CHANNEL, SharedCircuits
from aspora.db.listen import Listener
from aspora.db.pool import Database
from aspora.kit.supervise import wait_for_event

UP = Upstream("custom", "http://127.0.0.1:1/v1")
PATIENCE_SECONDS = 30


@pytest.fixture
async def board(dsn: str, database: Database) -> AsyncIterator[SharedCircuits]:
    stop, listener = asyncio.Event(), Listener(dsn, [CHANNEL])
    running = asyncio.create_task(listener.run(stop))
    assert await listener.wait_connected(PATIENCE_SECONDS)
    yield SharedCircuits(database, listener)
    stop.set()
    await running


async def open_and_due(board: SharedCircuits) -> None:
    await board.open(UP, number=1, seconds=0, turn=None)


async def test_what_one_opens_all_see_and_are_woken_for(board: SharedCircuits) -> None:
    told = asyncio.Event()
    with board.news(told):
        await board.open(UP, number=2, seconds=50, turn=None)
        assert await wait_for_event(told, PATIENCE_SECONDS)
    (seen,) = await board.read()
    assert (seen.upstream, seen.number, seen.holder) == (UP, 2, None)
    assert 0 < seen.seconds_left <= 50


async def test_who_opens_later_changes_nothing_of_what_is_open(board: SharedCircuits) -> None:
    await board.open(UP, number=1, seconds=50, turn=None)
    (first,) = await board.read()
    await board.open(UP, number=4, seconds=500, turn=None)
    (second,) = await board.read()
    assert (second.turn, second.number) == (first.turn, 1)


async def test_of_many_who_claim_one_gets_the_probe(board: SharedCircuits) -> None:
    await open_and_due(board)
    names = [f"p{n}" for n in range(6)]
    await asyncio.gather(*(board.claim(UP, holder=name, seconds=50) for name in names))
    (seen,) = await board.read()
    await asyncio.gather(*(board.claim(UP, holder=name, seconds=50) for name in names if name != seen.holder))
    (again,) = await board.read()
    assert again.holder == seen.holder in names
    assert again.turn == seen.turn


async def test_no_probe_is_given_before_its_time(board: SharedCircuits) -> None:
    await board.open(UP, number=1, seconds=50, turn=None)
    await board.claim(UP, holder="p", seconds=50)
    (seen,) = await board.read()
    assert seen.holder is None


async def test_a_probe_whose_owner_is_gone_passes_to_another_and_the_late_owner_is_not_heard(
    board: SharedCircuits,
) -> None:
    await open_and_due(board)
    await board.claim(UP, holder="killed", seconds=0)
    (killed,) = await board.read()
    await board.claim(UP, holder="next", seconds=50)
    (owned,) = await board.read()
    assert (killed.holder, owned.holder) == ("killed", "next")
    await board.renew(UP, turn=killed.turn, seconds=5000)
    await board.close(UP, turn=killed.turn)
    await board.open(UP, number=9, seconds=5000, turn=killed.turn)
    (still,) = await board.read()
    assert (still.turn, still.holder, still.number) == (owned.turn, "next", 1)
    assert still.probe_seconds_left <= 50


async def test_the_owner_renews_reopens_and_closes(board: SharedCircuits) -> None:
    await open_and_due(board)
    await board.claim(UP, holder="p", seconds=1)
    (claimed,) = await board.read()
    await board.renew(UP, turn=claimed.turn, seconds=50)
    (renewed,) = await board.read()
    assert renewed.probe_seconds_left > 1
    await board.open(UP, number=2, seconds=50, turn=claimed.turn)
    (reopened,) = await board.read()
    assert (reopened.number, reopened.holder) == (2, None)
    await board.close(UP, turn=reopened.turn)
    assert await board.read() == []


async def test_a_limit_holds_for_its_longest_time_and_is_gone_by_itself(board: SharedCircuits) -> None:
    limit = Upstream("custom", UP.base_url, "m")
    await board.open(limit, number=0, seconds=0, turn=None)
    assert await board.read() == []
    await board.open(limit, number=0, seconds=30, turn=None)
    await board.open(limit, number=0, seconds=10, turn=None)
    (seen,) = await board.read()
    assert seen.seconds_left > 10
