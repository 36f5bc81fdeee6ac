"""Callers share batches and nothing else."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from aspora.db.failures import OutcomeUnknown, SerializationConflict
from aspora.meta.errors import Invalid, Timeout, Unavailable
from aspora.store.batcher import Batcher, BatchLimits
from aspora.store.interface import Key
from aspora.store.items import Item


def item(name: str, size_bytes: int = 1) -> Item:
    return Item(name, size_bytes, Key("K", "", name), None, is_plain=True)


class Server:
    """Answers each item with its text; a gate holds batches back, and some texts are poison."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.doubtful: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.errors: list[Exception] = []
        self.unbearable: set[str] = set()

    async def send(self, items: Sequence[Item]) -> list[str]:
        texts = [i.text for i in items]
        self.batches.append(texts)
        await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        if any(text.startswith("poison") for text in texts):
            raise ValueError("numeric overflow")
        return texts

    async def send_doubtful(self, items: Sequence[Item]) -> list[str]:
        texts = [i.text for i in items]
        self.doubtful.append(texts)
        if self.unbearable & set(texts):
            raise Invalid("no")
        return [f"refused {text}" if text.startswith("poison") else text for text in texts]


def batcher_of(server: Server, **limits: Any) -> Batcher[str]:
    return Batcher(server.send, server.send_doubtful, limits=BatchLimits(**limits))


async def submitted(batcher: Batcher[str], *lists: Sequence[str]) -> list[Any]:
    """Submit each list as a caller of its own, all at once."""
    calls = (batcher.submit([item(name) for name in names]) for names in lists)
    return await asyncio.gather(*calls, return_exceptions=True)


async def test_callers_share_a_batch_and_get_their_own_answers_in_order() -> None:
    server = Server()
    batcher = batcher_of(server)
    answers = await submitted(batcher, ["a", "b"], [], ["c"], ["d", "e"])
    assert answers == [["a", "b"], [], ["c"], ["d", "e"]]
    assert server.batches == [["a", "b", "c", "d", "e"]]


async def test_while_one_batch_is_under_way_the_next_gathers() -> None:
    server = Server()
    server.gate.clear()
    batcher = batcher_of(server)
    first = asyncio.create_task(submitted(batcher, ["a"]))
    while not server.batches:
        await asyncio.sleep(0)
    second = asyncio.create_task(submitted(batcher, ["b"], ["c"]))
    for _ in range(10):
        await asyncio.sleep(0)
    assert server.batches == [["a"]]
    server.gate.set()
    await asyncio.gather(first, second)
    assert server.batches == [["a"], ["b", "c"]]


async def test_whoever_is_answered_and_writes_again_meets_the_others() -> None:
    server = Server()
    batcher = batcher_of(server)

    async def write_on(name: str) -> None:
        for n in range(5):
            await batcher.submit([item(f"{name}{n}")])

    await asyncio.gather(*(write_on(name) for name in "abcdefgh"))
    assert [len(batch) for batch in server.batches] == [8] * 5


async def test_a_batch_is_bounded_and_no_list_is_split() -> None:
    server = Server()
    batcher = batcher_of(server, items=3, batch_bytes=100)
    await submitted(batcher, ["a", "b"], ["c", "d"], ["e"], ["f", "g", "h", "i", "j"], ["k"])
    assert server.batches == [["a", "b"], ["c", "d", "e"], ["f", "g", "h", "i", "j"], ["k"]]
    server.batches.clear()
    await asyncio.gather(*(batcher.submit([item(name, 60)]) for name in "xyz"))
    assert server.batches == [["x"], ["y"], ["z"]]


async def test_poison_fails_alone() -> None:
    server = Server()
    batcher = batcher_of(server)
    answers = await submitted(batcher, ["a"], ["b", "poison", "c"], ["d"])
    assert answers == [["a"], ["b", "refused poison", "c"], ["d"]]
    assert server.doubtful == [["a", "b", "poison", "c", "d"]]


async def test_a_list_that_no_way_works_for_fails_its_caller_alone() -> None:
    server = Server()
    server.unbearable = {"bad"}
    server.errors = [Invalid("no")]
    a, bad, c = await submitted(batcher_of(server), ["a"], ["bad"], ["c"])
    assert (a, c) == (["a"], ["c"])
    assert isinstance(bad, Invalid)
    assert server.doubtful == [["a", "bad", "c"], ["a"], ["bad"], ["c"]]


@pytest.mark.parametrize("error", [OutcomeUnknown("gone"), Unavailable("full"), Timeout("slow")])
async def test_an_outage_is_told_to_every_caller_of_the_batch_and_to_nobody_else(error: Exception) -> None:
    server = Server()
    server.errors = [error]
    batcher = batcher_of(server)
    told = await submitted(batcher, ["a"], ["b"])
    assert [type(e) for e in told] == [type(error)] * 2
    assert told[0] is not told[1]
    assert server.doubtful == []
    assert await batcher.submit([item("c")]) == ["c"]


async def test_a_collision_is_tried_again() -> None:
    server = Server()
    server.errors = [SerializationConflict("deadlock")] * 2
    assert await submitted(batcher_of(server), ["a"], ["b"]) == [["a"], ["b"]]
    assert server.batches == [["a", "b"]] * 3


async def test_a_caller_that_leaves_takes_its_own_writes_along_and_no_others() -> None:
    server = Server()
    server.gate.clear()
    batcher = batcher_of(server)
    flying = [asyncio.create_task(batcher.submit([item(name)])) for name in "ab"]
    while not server.batches:
        await asyncio.sleep(0)
    waiting = [asyncio.create_task(batcher.submit([item(name)])) for name in "cde"]
    await asyncio.sleep(0)
    flying[0].cancel()
    waiting[1].cancel()
    await asyncio.sleep(0)
    server.gate.set()
    assert await flying[1] == ["b"]
    assert [await waiting[0], await waiting[2]] == [["c"], ["e"]]
    assert server.batches == [["a", "b"], ["c", "e"]]
    assert flying[0].cancelled()
    assert waiting[1].cancelled()


async def test_writes_behind_a_slow_one_time_out_unwritten() -> None:
    server = Server()
    server.gate.clear()
    batcher = batcher_of(server, wait_seconds=0.05)
    flying = asyncio.create_task(batcher.submit([item("a")]))
    while not server.batches:
        await asyncio.sleep(0)
    with pytest.raises(Timeout, match="nothing was written"):
        await batcher.submit([item("b")])
    server.gate.set()
    assert await flying == ["a"]
    await batcher.drain()
    assert server.batches == [["a"]]


async def test_what_waits_is_bounded() -> None:
    server = Server()
    server.gate.clear()
    batcher = batcher_of(server, waiting_bytes=100)
    flying = asyncio.create_task(batcher.submit([item("a", 90)]))
    while not server.batches:
        await asyncio.sleep(0)
    waiting = asyncio.create_task(batcher.submit([item("b", 90)]))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="too many writes wait"):
        await batcher.submit([item("c", 90)])
    server.gate.set()
    assert await asyncio.gather(flying, waiting) == [["a"], ["b"]]
    assert await batcher.submit([item("d", 90)]) == ["d"]


async def test_drain_waits_for_what_has_been_given_in() -> None:
    server = Server()
    server.gate.clear()
    batcher = batcher_of(server)
    writes = [asyncio.create_task(batcher.submit([item(name)])) for name in "abc"]
    await asyncio.sleep(0)
    draining = asyncio.create_task(batcher.drain())
    await asyncio.sleep(0)
    assert not draining.done()
    server.gate.set()
    await draining
    assert all(write.done() for write in writes)
    await batcher.drain()


async def test_the_end_of_the_loop_leaves_nobody_waiting() -> None:
    server = Server()
    server.gate.clear()
    batcher = batcher_of(server)
    flying = asyncio.create_task(batcher.submit([item("a")]))
    while not server.batches:
        await asyncio.sleep(0)
    waiting = asyncio.create_task(batcher.submit([item("b")]))
    await asyncio.sleep(0)
    [sending] = [task for task in asyncio.all_tasks() if task.get_name() == "store-batches"]
    sending.cancel()
    first, second = await asyncio.gather(flying, waiting, return_exceptions=True)
    assert isinstance(first, OutcomeUnknown)
    assert isinstance(second, Unavailable)
    assert not isinstance(second, OutcomeUnknown)


async def test_those_who_wait_no_more_keep_nobody_out() -> None:
    server = Server()
    server.gate.clear()
    batcher = batcher_of(server, waiting_bytes=10)
    first = asyncio.create_task(batcher.submit([item("first")]))
    while not server.batches:
        await asyncio.sleep(0)
    gone = asyncio.create_task(batcher.submit([item("gone", 9)]))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    late = asyncio.create_task(batcher.submit([item("late", 9)]))
    await asyncio.sleep(0)
    server.gate.set()
    assert await asyncio.gather(first, late) == [["first"], ["late"]]


async def test_a_wrong_number_of_answers_is_told_as_such_and_stops_nobody_else() -> None:
    server = Server()
    sent: list[int] = []

    async def send(items: Sequence[Item]) -> list[str]:
        sent.append(len(items))
        return [] if len(sent) == 1 else await server.send(items)

    batcher: Batcher[str] = Batcher(send, server.send_doubtful)
    with pytest.raises(OutcomeUnknown, match="gave 0 answers to 1 writes; whether"):
        await batcher.submit([item("a")])
    assert await batcher.submit([item("b")]) == ["b"]
