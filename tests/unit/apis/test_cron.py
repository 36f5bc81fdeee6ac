import pytest
from hypothesis import given
from hypothesis import strategies as st

from aspora.apis.cron import cron_problem


@pytest.mark.parametrize(
    "schedule",
    [
        "0 7 * * *",
        "*/15 0-23/2 1,15 * mon-fri",
        "59 23 31 12 7",
        "0 0 29 feb *",
        "5,10-20/5 * * JAN,Mar Sun",
        "0 0 30 2 mon",
        "00 07 * * *",
    ],
)
def test_a_schedule_that_can_be_kept(schedule: str) -> None:
    assert cron_problem(schedule) is None


@pytest.mark.parametrize(
    ("schedule", "why"),
    [
        ("99 99 * * *", "the minute '99' must be 0 to 59"),
        ("0 24 * * *", "the hour '24' must be 0 to 23"),
        ("0 0 0 * *", "the day of month '0' must be 1 to 31"),
        ("0 0 * 13 *", "the month '13' must be 1 to 12, or jan to dec"),
        ("0 0 * * 8", "the day of week '8' must be 0 to 7, or sun to sat"),
        ("0 0 * * noday", "the day of week 'noday' must be"),
        ("*/0 * * * *", "a step that must be 1 to 59"),
        ("*/99999999999 * * * *", "a step"),
        ("30-10 * * * *", "counts backwards"),
        ("1,,2 * * * *", "can't be read"),
        ("-5 * * * *", "can't be read"),
        ("٣ * * * *", "can't be read"),
        ("0 0 30 2 *", "month 2 has no day 30"),
        ("0 7 * *", "five fields"),
        ("@daily", "five fields"),
        ("", "five fields"),
        ("9" * 5_000 + " * * * *", "characters"),
    ],
)
def test_a_schedule_that_means_nothing(schedule: str, why: str) -> None:
    problem = cron_problem(schedule)
    assert problem is not None
    assert why in problem
    assert len(problem) < 400


@given(st.text())
def test_any_text_gets_an_answer(schedule: str) -> None:
    assert cron_problem(schedule) is None or len(schedule) < 10_000


@given(st.lists(st.integers(0, 59), min_size=1, max_size=5), st.integers(0, 23))
def test_every_list_of_minutes_within_range_is_good(minutes: list[int], hour: int) -> None:
    assert cron_problem(f"{','.join(map(str, minutes))} {hour} * * *") is None
