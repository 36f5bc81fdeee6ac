import threading
import time
from collections.abc import Callable

from aspora.executor.durable.bell import Bell

LONG_SECONDS = 30.0


def waiting(bell: Bell, then: Callable[[], None]) -> tuple[bool, float]:
    """What a long wait says when `then` is done meanwhile, and how long it took."""
    began = time.monotonic()
    acting = threading.Timer(0.01, then)
    acting.start()
    stopped = bell.wait(LONG_SECONDS)
    acting.join()
    return stopped, time.monotonic() - began


def test_a_ring_ends_one_wait_and_is_no_stop() -> None:
    bell = Bell(busy=lambda: False, busy_seconds=LONG_SECONDS)
    stopped, took_seconds = waiting(bell, bell.ring)
    assert not stopped
    assert took_seconds < LONG_SECONDS
    assert not bell.wait(0.001)


def test_a_ring_between_two_waits_is_not_lost() -> None:
    bell = Bell(busy=lambda: False, busy_seconds=LONG_SECONDS)
    bell.ring()
    began = time.monotonic()
    assert not bell.wait(LONG_SECONDS)
    assert time.monotonic() - began < LONG_SECONDS


def test_the_stop_ends_every_wait() -> None:
    bell = Bell(busy=lambda: False, busy_seconds=LONG_SECONDS)
    stopped, took_seconds = waiting(bell, bell.set)
    assert stopped
    assert took_seconds < LONG_SECONDS
    assert bell.wait(LONG_SECONDS)


def test_while_busy_no_wait_is_long() -> None:
    bell = Bell(busy=lambda: True, busy_seconds=0.001)
    began = time.monotonic()
    assert not bell.wait(LONG_SECONDS)
    assert not bell.wait()
    assert time.monotonic() - began < LONG_SECONDS
