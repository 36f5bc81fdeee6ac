"""Lists of executions: filters and the token that continues one."""

import base64
from datetime import UTC, datetime

import pytest

from aspora.gateway.serve.pages import list_filter, token_after
from aspora.meta.errors import BadRequest

ROW = {"created_at": datetime(2026, 2, 18, 12, 0, 0, 123456, tzinfo=UTC), "id": "EXEC-20260218120000-7f3a09c1"}


def test_a_token_says_where_the_page_before_ended() -> None:
    found = list_filter({"continue": token_after(ROW)}, domains=["a"])
    assert found.before == (ROW["created_at"], ROW["id"])
    assert found.domains == ["a"]


@pytest.mark.parametrize(
    "text",
    ["!", "YWJj", "2026-02-18T12:00:00 EXEC-20260218120000-7f3a09c1", "2026-02-18T12:00:00+00:00 EXEC-1", "x y z", "é"],
)
def test_a_foreign_token_is_refused(text: str) -> None:
    for token in (text, base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")):
        with pytest.raises(BadRequest):
            list_filter({"continue": token}, domains=None)


def test_states_and_times_are_checked() -> None:
    found = list_filter({"state": "Failed,Running", "since": "2026-02-18T12:00:00Z"}, domains=None)
    assert found.states == ["Failed", "Running"]
    assert found.since == datetime(2026, 2, 18, 12, tzinfo=UTC)
    with pytest.raises(BadRequest, match="did you mean 'Failed'"):
        list_filter({"state": "failed"}, domains=None)
    for since in ("yesterday", "2026-02-18T12:00:00", ""):
        with pytest.raises(BadRequest):
            list_filter({"since": since}, domains=None)
