from datetime import UTC, datetime, timedelta, timezone

import pytest

from aspora.ledger.interface import Limit, Reservation, Scope, ScopeKind, Unit, Window
from aspora.ledger.windows import needs_of, window_end, window_start

AT = datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
SCOPE = Scope(ScopeKind.KEY, "k1")


@pytest.mark.parametrize(
    ("window", "start", "end"),
    [
        (Window.MINUTE, datetime(2026, 12, 31, 23, 59, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (Window.HOUR, datetime(2026, 12, 31, 23, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (Window.DAY, datetime(2026, 12, 31, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (Window.MONTH, datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (Window.EXECUTION, datetime(1970, 1, 1, tzinfo=UTC), None),
    ],
)
def test_a_window_begins_and_ends(window: Window, start: datetime, end: datetime | None) -> None:
    assert window_start(window, AT) == start
    assert window_end(window, start) == end


@pytest.mark.parametrize("month", range(1, 13))
def test_each_month_ends_where_the_next_begins(month: int) -> None:
    end = window_end(Window.MONTH, datetime(2028, month, 1, tzinfo=UTC))
    assert end == datetime(2028 + month // 12, month % 12 + 1, 1, tzinfo=UTC)


def test_windows_are_utc() -> None:
    in_dubai = datetime(2027, 1, 1, 2, tzinfo=timezone(timedelta(hours=4)))
    assert window_start(Window.DAY, in_dubai) == datetime(2026, 12, 31, tzinfo=UTC)


def test_each_account_needs_what_it_counts() -> None:
    limits = tuple(Limit(SCOPE, Window.MINUTE, 10, unit) for unit in Unit)
    wanted = Reservation(limits=limits, hold_micro_usd=700, hold_tokens=90, model="m", provider="p")
    assert {key.unit: need for key, need in needs_of(wanted, AT).items()} == {
        Unit.MICRO_USD: 700,
        Unit.TOKENS: 90,
        Unit.REQUESTS: 1,
    }


def test_a_limit_that_is_there_twice_counts_once() -> None:
    limit = Limit(SCOPE, Window.DAY, 10)
    assert len(needs_of(Reservation(limits=(limit, limit), hold_micro_usd=1, model="m", provider="p"), AT)) == 1
