from aspora.kit.bucket import TokenBucket


def test_a_burst_goes_at_once_and_the_rest_is_spread() -> None:
    now = 0.0
    bucket = TokenBucket(per_second=10, burst=3, monotonic=lambda: now)
    assert [round(bucket.delay_seconds(), 3) for _ in range(5)] == [0, 0, 0, 0.1, 0.2]
    now = 0.4
    assert bucket.delay_seconds() == 0
    now = 100.0
    assert [round(bucket.delay_seconds(), 3) for _ in range(4)] == [0, 0, 0, 0.1]
