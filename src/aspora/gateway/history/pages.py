"""Continue tokens of lists by time, and the filters in their queries."""

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime

from aspora.gateway.http import printable
from aspora.meta.errors import BadRequest
from aspora.meta.names import did_you_mean
from aspora.meta.selectors import parse_selector
from aspora.records.happenings import HappeningFilter
from aspora.records.rows import Cursor

_MAX_DIGITS = 18
_FIELDS = {
    "regarding.kind": "kind",
    "regarding.name": "name",
    "regarding.uid": "uid",
    "type": "type",
    "reason": "reason",
    "reportingController": "controller",
}


def token_after(moment: datetime, row_id: int) -> str:
    """The token that continues a list after its last row."""
    return base64.urlsafe_b64encode(f"{moment.isoformat()} {row_id}".encode()).decode().rstrip("=")


def read_token(token: str) -> tuple[datetime, int]:
    """What a token says.

    Raises:
        BadRequest: It is not one of ours.
    """
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
        moment_text, number = text.split(" ")
        moment = datetime.fromisoformat(moment_text)
    except (ValueError, binascii.Error):
        raise _bad_token() from None
    if moment.tzinfo is None or not _is_number(number):
        raise _bad_token()
    return moment, int(number)


def instant_in(query: Mapping[str, str], name: str) -> datetime | None:
    """An instant among the query parameters; None when it is absent.

    Raises:
        BadRequest: It is none, or has no time zone.
    """
    text = query.get(name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        in_utc = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        moment = in_utc = None
    if moment is None or in_utc is None or moment.tzinfo is None:
        raise BadRequest(f"{name} is {printable(text)!r}; write an instant with its zone, like 2026-02-18T12:00:00Z")
    return in_utc


def event_filter(selector: str, *, domains: tuple[str, ...] | None) -> HappeningFilter:
    """Events of these domains that satisfy a field selector of `field=value` terms.

    Raises:
        BadRequest: Another field or another operator.
    """
    chosen: dict[str, str] = {}
    for term in parse_selector(selector, what="field"):
        field = _FIELDS.get(term.key)
        if field is None:
            raise BadRequest(f"events can't be selected by {printable(term.key)!r}{did_you_mean(term.key, _FIELDS)}")
        if term.operator != "=" or field in chosen:
            raise BadRequest(f"events can't be selected by {term.key!r} so; write {term.key}=VALUE, once")
        chosen[field] = term.values[0]
    return HappeningFilter(domains=domains, **chosen)


def read_version(text: str) -> Cursor:
    """The cursor behind the resource version of a list of events, or of one.

    Raises:
        BadRequest: It is not one of ours.
    """
    xid, dash, seq = text.partition("-")
    if not (dash and _is_number(xid) and _is_number(seq)):
        raise BadRequest(f"resourceVersion {printable(text)!r} is not one of events; take it from a list")
    return Cursor(int(xid), int(seq))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS


def _bad_token() -> BadRequest:
    return BadRequest("the continue token is not one of ours; list from the start")
