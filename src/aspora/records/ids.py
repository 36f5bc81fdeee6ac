"""Execution ids: they carry their second of birth, so an id alone names the day partition its rows lie in."""

import re
from datetime import UTC, date, datetime, timedelta

from aspora.meta.errors import NotFound
from aspora.meta.names import ExecutionId

PREFIX = "EXEC-"
_ID = re.compile(r"EXEC-(\d{14})-[0-9a-f]{8}")
_ID_PREFIX = re.compile(r"EXEC-\d{0,14}(?:(?<=\d{14})-[0-9a-f]{0,8})?")
_FIRST_DAY = date(1970, 1, 1)
_LAST_DAY = date(9999, 12, 31)


def execution_id(now: datetime, *, entropy: int) -> ExecutionId:
    """`EXEC-YYYYMMDDHHMMSS-xxxxxxxx` from a UTC instant and 32 random bits."""
    return ExecutionId(f"{PREFIX}{now.astimezone(UTC):%Y%m%d%H%M%S}-{entropy & 0xFFFFFFFF:08x}")


def is_execution_id(text: str) -> bool:
    """Whether the text is a whole, well-formed id."""
    match = _ID.fullmatch(text)
    return match is not None and _parse_day(match[1][:8]) is not None


def _parse_day(digits: str) -> date | None:
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return None


def day_of(execution: str) -> date:
    """The UTC day in an id, which is the partition key of its rows.

    Raises:
        NotFound: The text is no execution id, so no such execution exists.
    """
    day = _parse_day(execution[5:13]) if _ID.fullmatch(execution) else None
    if day is None:
        raise NotFound(f"execution {execution[:40]!r} not found; an id looks like EXEC-20260218120000-7f3a09c1")
    return day


def days_of_prefix(prefix: str) -> tuple[date, date]:
    """The first and last day an id with this beginning can lie in, both inclusive.

    Raises:
        NotFound: No id begins like this.
    """
    if not _ID_PREFIX.fullmatch(prefix):
        raise NotFound(
            f"no execution id begins with {prefix[:40]!r}; an id looks like EXEC-20260218120000-7f3a09c1 and a unique "
            "beginning of it is enough"
        )
    digits = prefix[len(PREFIX) : len(PREFIX) + 8]
    if len(digits) == 8:
        day = _parse_day(digits)
        if day is None:
            raise NotFound(
                f"no execution id begins with {prefix[:40]!r}: {digits} is no date; "
                "an id looks like EXEC-20260218120000-7f3a09c1"
            )
        return day, day
    return _earliest(digits), _latest(digits)


def _earliest(digits: str) -> date:
    """The first real day whose digits begin like this; generous, for it only bounds a scan."""
    year = max(int(digits[:4].ljust(4, "0") or "0"), _FIRST_DAY.year)
    return date(year, 1, 1)


def _latest(digits: str) -> date:
    year = min(int(digits[:4].ljust(4, "9")), _LAST_DAY.year)
    return _LAST_DAY if year >= _LAST_DAY.year else date(year + 1, 1, 1) - timedelta(days=1)
