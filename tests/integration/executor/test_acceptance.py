"""Accepting executions when ids collide and when the gateway's clock is off."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aspora.executor.starter import DurableStarter
from aspora.gateway.serve.acceptance import Acceptance, Order
from aspora.gateway.serve.run_request import parse_run_request
from aspora.kit.clock import SystemClock
from aspora.meta.errors import Internal
from aspora.records.wakeups import Wakeups

CODE = "def handler(context): ...\n"


class SetClock(SystemClock):
    """Stands still, but for being off."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC)
        self.off = timedelta(0)

    def now(self) -> datetime:
        return self.at + self.off


def acceptance(site: Any, clock: SetClock, entropy: Callable[[int], int]) -> Acceptance:
    return Acceptance(
        database=site.database,
        executions=site.executions,
        reader=site.reader,
        blobs=site.artifacts,
        starter=DurableStarter(),
        wakeups=Wakeups(site.database),
        clock=clock,
        entropy=entropy,
    )


def order(site: Any, key: str | None = None) -> Order:
    request = parse_run_request({"input": {"userMessage": "hello"}})
    return Order(site.callers["tester"], "test", "echo", request, key=key, waits=True, began=0.0)


def drawing(numbers: Iterator[int]) -> Callable[[int], int]:
    return lambda _bits: next(numbers)


@pytest.mark.parametrize("key", [None, "order-2"])
async def test_an_id_that_is_taken_is_drawn_anew_and_the_key_stays_free_of_it(site: Any, key: str | None) -> None:
    await site.add_skill("echo", CODE)
    door = acceptance(site, SetClock(), drawing(iter([7, 7, 8])))
    first = await door.accept(order(site, "order-1"))
    second = await door.accept(order(site, key))
    assert second.is_new
    assert second.id != first.id
    if key is not None:
        again = await acceptance(site, SetClock(), drawing(iter([9]))).accept(order(site, key))
        assert (again.id, again.is_new) == (second.id, False)


async def test_a_key_is_not_kept_when_no_id_was_free(site: Any) -> None:
    await site.add_skill("echo", CODE)
    clock = SetClock()
    await acceptance(site, clock, lambda _bits: 7).accept(order(site))
    with pytest.raises(Internal, match="no free execution id"):
        await acceptance(site, clock, lambda _bits: 7).accept(order(site, "order-1"))
    assert (await acceptance(site, clock, lambda _bits: 8).accept(order(site, "order-1"))).is_new


async def test_the_correction_of_a_clock_does_not_outlive_its_request(site: Any) -> None:
    await site.add_skill("echo", CODE)
    drawn: list[int] = []

    def draw(_bits: int) -> int:
        drawn.append(len(drawn))
        return drawn[-1]

    clock = SetClock()
    door = acceptance(site, clock, draw)
    clock.off = timedelta(days=5)
    assert (await door.accept(order(site))).is_new
    assert len(drawn) == 2
    clock.off = timedelta(0)
    assert (await door.accept(order(site))).is_new
    assert len(drawn) == 3
