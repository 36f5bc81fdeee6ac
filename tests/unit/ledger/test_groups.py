import asyncio
from collections.abc import Sequence

import pytest

from aspora.ledger.groups import Group
from aspora.meta.errors import Unavailable


class Sink:
    """Takes batches, and holds the first back until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.let_go = asyncio.Event()

    async def send(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        await self.let_go.wait()
        if 13 in items:
            raise ValueError("13 can't be sent")
        if 99 in items:
            raise Unavailable("the database is away")
        return [item * 10 for item in items]


async def test_what_comes_while_a_batch_is_under_way_goes_together() -> None:
    sink = Sink()
    group = Group[int, int]("test", sink.send, most=3)
    first = group.put(0)
    while not sink.batches:
        await asyncio.sleep(0)
    others = [group.put(n) for n in range(1, 6)]
    sink.let_go.set()
    assert await asyncio.gather(first, *others) == [0, 10, 20, 30, 40, 50]
    assert sink.batches == [[0], [1, 2, 3], [4, 5]]
    await group.drain()


@pytest.mark.parametrize(("sends_left", "sent"), [(False, [[2]]), (True, [[1, 2]])])
async def test_whether_those_who_left_are_sent(sends_left: bool, sent: list[list[int]]) -> None:
    sink = Sink()
    sink.let_go.set()
    group = Group[int, int]("test", sink.send, most=8, sends_left=sends_left)
    left, stays = group.put(1), group.put(2)
    left.cancel()
    assert await stays == 20
    assert sink.batches == sent


async def test_one_bad_item_fails_alone() -> None:
    sink = Sink()
    sink.let_go.set()
    group = Group[int, int]("test", sink.send, most=8)
    answers = await asyncio.gather(*(group.put(n) for n in (1, 13, 2)), return_exceptions=True)
    assert [answers[0], answers[2]] == [10, 20]
    assert isinstance(answers[1], ValueError)


async def test_an_outage_fails_all_at_once() -> None:
    sink = Sink()
    sink.let_go.set()
    group = Group[int, int]("test", sink.send, most=8)
    answers = await asyncio.gather(*(group.put(n) for n in (1, 99)), return_exceptions=True)
    assert all(isinstance(answer, Unavailable) for answer in answers)
    assert sink.batches == [[1, 99]]


async def test_a_closed_group_fails_who_waits() -> None:
    sink = Sink()
    group = Group[int, int]("test", sink.send, most=1)
    answers = [group.put(1), group.put(2)]
    while not sink.batches:
        await asyncio.sleep(0)
    await group.close()
    for answer in answers:
        with pytest.raises(Unavailable, match="is stopping"):
            await answer
