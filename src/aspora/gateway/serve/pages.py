"""Query parameters of lists of executions, and the token that continues one."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, cast, get_args

from aspora.gateway.http import printable
from aspora.meta.errors import BadRequest
from aspora.meta.names import did_you_mean
from aspora.records.executions import ListFilter
from aspora.records.ids import is_execution_id
from aspora.records.state import State

LIST_PARAMETERS: Final = ("skill", "state", "since", "limit", "continue")
_STATES: Final[tuple[str, ...]] = get_args(State)


def list_filter(query: Mapping[str, str], *, domains: Sequence[str] | None) -> ListFilter:
    """The filter a query asks for.

    Raises:
        BadRequest: A value can't be read.
    """
    return ListFilter(
        domains=domains,
        skill=query.get("skill"),
        states=_states(query["state"]) if "state" in query else None,
        since=_since(query["since"]) if "since" in query else None,
        before=_read_token(query["continue"]) if query.get("continue") else None,
    )


def token_after(row: Mapping[str, Any]) -> str:
    """The token that continues a list after its last row."""
    return base64.urlsafe_b64encode(f"{row['created_at'].isoformat()} {row['id']}".encode()).decode().rstrip("=")


def _read_token(token: str) -> tuple[datetime, str]:
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
        moment_text, execution = text.split(" ")
        moment = datetime.fromisoformat(moment_text)
    except (ValueError, binascii.Error):
        raise BadRequest("the continue token is not one of ours; list from the start") from None
    if moment.tzinfo is None or not is_execution_id(execution):
        raise BadRequest("the continue token is not one of ours; list from the start")
    return moment, execution


def _states(text: str) -> list[State]:
    states = text.split(",")
    for state in states:
        if state not in _STATES:
            raise BadRequest(f"unknown state {printable(state)!r}{did_you_mean(state[:80], _STATES)}")
    return [cast("State", state) for state in states]


def _since(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadRequest(f"since is {printable(text)!r}; write an instant with its zone, like 2026-02-18T12:00:00Z")
    return moment
