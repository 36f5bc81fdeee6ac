import pytest

from aspora.kit.backoff import Backoff


def test_delays_grow_to_the_cap() -> None:
    backoff = Backoff(base_seconds=1, factor=2, max_seconds=5, jitter_ratio=0)
    assert [backoff.delay_seconds(n) for n in range(5)] == [1, 2, 4, 5, 5]
    assert backoff.delay_seconds(10**6) == 5


def test_jitter_stays_within_its_ratio() -> None:
    backoff = Backoff(base_seconds=1, jitter_ratio=0.5)
    assert backoff.delay_seconds(0, rand=lambda: 0.0) == pytest.approx(0.5)
    assert backoff.delay_seconds(0, rand=lambda: 1.0) == pytest.approx(1.5)
