"""Whether a cron schedule means anything: five fields of numbers, names, lists, ranges and steps."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aspora.meta.names import quoted


@dataclass(frozen=True, slots=True)
class _Field:
    """What one field of a schedule may hold."""

    name: str
    low: int
    high: int
    names: Mapping[str, int] = field(default_factory=dict[str, int])


def _numbered(words: str, *, first: int) -> dict[str, int]:
    return {word: number for number, word in enumerate(words.split(), first)}


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _numbered("jan feb mar apr may jun jul aug sep oct nov dec", first=1)),
    _Field("day of week", 0, 7, _numbered("sun mon tue wed thu fri sat", first=0)),
)
_LONGEST_MONTH = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}
_TERM = re.compile(r"(?:(?P<all>\*)|(?P<first>[0-9a-z]+)(?:-(?P<last>[0-9a-z]+))?)(?:/(?P<step>[0-9]+))?")


def cron_problem(schedule: str) -> str | None:
    """What is wrong with a schedule, or None.

    Fields are minute, hour, day of month, month and day of week (0 and 7 are Sunday); months and days have their
    English names too. Source: POSIX crontab, with the steps and names of Vixie cron.
    """
    words = schedule.split()
    if len(words) != len(_FIELDS):
        return f"{quoted(schedule)} must have five fields, like '0 7 * * *'"
    for word, known in zip(words, _FIELDS, strict=True):
        for term in word.lower().split(","):
            if problem := _term_problem(term, known):
                return f"{quoted(schedule)}: the {known.name} {quoted(word)} {problem}"
    return _no_such_day(words)


def _term_problem(term: str, known: _Field) -> str | None:
    match = _TERM.fullmatch(term)
    if match is None:
        return "can't be read; write a number, a list (1,2), a range (1-5), * or a step (*/5)"
    if match["step"] is not None and (len(match["step"]) > 2 or not 1 <= int(match["step"]) <= known.high):
        return f"has a step that must be 1 to {known.high}"
    if match["all"]:
        return None
    ends = [_value(text, known) for text in (match["first"], match["last"]) if text is not None]
    if any(value is None or not known.low <= value <= known.high for value in ends):
        return f"must be {known.low} to {known.high}{_or_names(known)}"
    return "counts backwards; write the smaller end first" if _backwards(ends) else None


def _value(text: str, known: _Field) -> int | None:
    """A number of at most two digits, or a name's."""
    return int(text) if text.isdecimal() and len(text) <= 2 else known.names.get(text)


def _or_names(known: _Field) -> str:
    names = list(known.names)
    return f", or {names[0]} to {names[-1]}" if names else ""


def _backwards(ends: Sequence[int | None]) -> bool:
    return len(ends) == 2 and ends[0] is not None and ends[1] is not None and ends[0] > ends[1]


def _no_such_day(words: Sequence[str]) -> str | None:
    """A plain day that its plain month never has, such as 30 February: nothing would ever start."""
    _, _, day, month, weekday = words
    number = _value(month.lower(), _FIELDS[3])
    if weekday == "*" and day.isdecimal() and number is not None and int(day) > _LONGEST_MONTH.get(number, 31):
        return f"{quoted(' '.join(words))}: month {month} has no day {day}"
    return None
