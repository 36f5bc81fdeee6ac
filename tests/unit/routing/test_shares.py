"""Traffic by shares: as much as promised, the same for the same user."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from aspora.routing.shares import Share, bucket_of, pick

SHARES = [Share("b", 500), Share("a", 9_000), Share("c", 500)]


def chosen(shares: list[Share], user: str, route: str = "echo.production") -> str | None:
    return pick(shares, bucket_of(domain="test", route=route, user=user))


def test_ten_thousand_users_get_the_shares_promised() -> None:
    counts = Counter(chosen(SHARES, f"user-{n}") for n in range(10_000))
    # Five standard deviations of a binomial count.
    assert abs(counts["a"] - 9_000) < 150
    assert abs(counts["b"] - 500) < 110
    assert abs(counts["c"] - 500) < 110
    assert None not in counts


def test_a_user_stays_whatever_the_order_in_the_manifest() -> None:
    for n in range(200):
        assert chosen(SHARES, f"u{n}") == chosen(SHARES[::-1], f"u{n}") == chosen(SHARES, f"u{n}")


def test_users_are_shuffled_between_routes() -> None:
    early = [n for n in range(2_000) if chosen([Share("new", 1_000), Share("old", 9_000)], f"u{n}", "x") == "new"]
    both = [n for n in early if chosen([Share("new", 1_000), Share("old", 9_000)], f"u{n}", "y") == "new"]
    assert 0 < len(both) < len(early) / 4


@given(st.integers(min_value=0, max_value=10_000), st.integers(min_value=0, max_value=10_000), st.text(max_size=10))
def test_of_two_revisions_the_growing_one_keeps_its_users(one: int, other: int, user: str) -> None:
    small, large = sorted((one, other))
    for name in ("new", "aaa"):
        before = chosen([Share(name, small), Share("old", 10_000 - small)], user)
        after = chosen([Share(name, large), Share("old", 10_000 - large)], user)
        assert not (before == name and after == "old")


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_a_bucket_is_a_basis_point(domain: str, route: str, user: str) -> None:
    assert 0 <= bucket_of(domain=domain, route=route, user=user) < 10_000


def test_no_traffic_and_missing_shares_leave_nobody() -> None:
    assert pick([], 0) is None
    assert pick([Share("a", 10)], 10) is None
    assert pick([Share("a", 0), Share("b", 10_000)], 0) == "b"
