"""Which fault a status is, when to come back, and what of an upstream's message may be shown."""

from datetime import UTC, datetime

import pytest

from aspora.models.upstream import Then, fault_of_status, parse_retry_after, safe_detail

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("3", 3.0),
        ("0.5", 0.5),
        ("-4", 0.0),
        ("Sun, 01 Mar 2026 12:00:20 GMT", 20.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_reads_retry_after(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, now=NOW) == seconds


@pytest.mark.parametrize(
    ("status", "outcome", "then", "in_doubt"),
    [
        (400, "rejected", Then.GIVE_UP, False),
        (401, "unauthorized", Then.FALL_BACK, False),
        (404, "not_found", Then.FALL_BACK, False),
        (307, "refused", Then.FALL_BACK, False),
        (418, "refused", Then.FALL_BACK, False),
        (429, "rate_limited", Then.RETRY, False),
        (500, "server_error", Then.RETRY, False),
        (504, "server_error", Then.RETRY, True),
        (529, "server_error", Then.RETRY, False),
    ],
)
def test_what_a_status_means(status: int, outcome: str, then: Then, in_doubt: bool) -> None:
    fault = fault_of_status(status)
    assert (fault.outcome, fault.then, fault.in_doubt) == (outcome, then, in_doubt)


def test_a_message_is_shown_unless_it_quotes_the_key_or_the_request() -> None:
    body = b'{"messages":[{"role":"user","content":"my account number is 12345678"}]}'
    shown = "This model's maximum context length is 128000 tokens"
    assert safe_detail(shown, body=body, api_key="sk-abcdefgh") == shown
    assert safe_detail("bad: my account number is 12345678", body=body, api_key=None) == ""
    assert safe_detail("no such key sk-abcde****", body=body, api_key="sk-abcdefgh") == ""
    assert len(safe_detail("x" * 9999, body=body, api_key=None)) == 240
