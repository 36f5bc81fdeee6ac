"""How wake-ups are remembered and shared, without a connection."""

import asyncio

import pytest

from aspora.db.listen import Listener, Subscription


async def test_many_wake_ups_between_two_waits_are_one() -> None:
    subscription = Subscription()
    subscription.wake()
    subscription.wake()
    assert await subscription.wait(0)
    assert not await subscription.wait(0)


async def test_a_wait_ends_by_its_time_when_nothing_listens() -> None:
    assert not await Listener("", ["a"]).wait("a", 0.01)


async def test_an_unknown_channel_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown channel 'c'; known: a, b"):
        await Listener("", ["a", "b"]).wait("c", 1)


async def test_an_unreachable_server_is_tried_again_and_stop_ends_it() -> None:
    listener = Listener("host=/nonexistent", ["a"], rand=lambda: 0.5)
    stop = asyncio.Event()
    running = asyncio.create_task(listener.run(stop))
    assert not await listener.wait_connected(0.05)
    stop.set()
    await running
