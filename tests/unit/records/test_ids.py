"""Execution ids carry their day, and beginnings of ids bound the days to look in."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aspora.meta.errors import NotFound
from aspora.records.ids import day_of, days_of_prefix, execution_id, is_execution_id

FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
MOMENTS = st.timedeltas(min_value=timedelta(0), max_value=LAST - FIRST).map(lambda since: FIRST + since)


def test_an_id_is_its_second_and_its_entropy() -> None:
    at = datetime(2026, 2, 18, 14, 0, tzinfo=timezone(timedelta(hours=2)))
    assert execution_id(at, entropy=0x7F3A09C1) == "EXEC-20260218120000-7f3a09c1"


@given(at=MOMENTS, entropy=st.integers(min_value=0, max_value=2**40), length=st.integers(min_value=0, max_value=28))
def test_every_beginning_of_an_id_leads_to_its_day(at: datetime, entropy: int, length: int) -> None:
    name = execution_id(at, entropy=entropy)
    assert is_execution_id(name)
    assert day_of(name) == at.date()
    first, last = days_of_prefix(name[: max(5, length)])
    assert first <= at.date() <= last


@pytest.mark.parametrize(
    "text", ["", "EXEC-", "exec-20260218120000-7f3a09c1", "EXEC-20261318120000-7f3a09c1", "EXEC-1-2"]
)
def test_what_is_no_id_names_no_execution(text: str) -> None:
    assert not is_execution_id(text)
    with pytest.raises(NotFound):
        day_of(text)


@pytest.mark.parametrize(
    "prefix", ["", "EX", "EXEC-x", "EXEC-20260218-", "EXEC-20260218120000-7f3a09c1a", "EXEC-20261350"]
)
def test_what_no_id_begins_with_is_refused(prefix: str) -> None:
    with pytest.raises(NotFound):
        days_of_prefix(prefix)


def test_a_whole_day_is_one_partition() -> None:
    assert days_of_prefix("EXEC-20260218") == (date(2026, 2, 18), date(2026, 2, 18))
    assert days_of_prefix("EXEC-202602") == (date(2026, 1, 1), date(2026, 12, 31))
    assert days_of_prefix("EXEC-") == (date(1970, 1, 1), date(9999, 12, 31))
