"""JSON that people write by hand, read strictly: what a server would refuse later is refused here, with its line."""

from __future__ import annotations

import json
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_DEPTH = 64
"""Levels of lists and objects in one value, as the gateway takes them."""

_SURROGATE = re.compile("[\ud800-\udfff]")


class NotJson(ValueError):
    """Text that is no JSON, or JSON that nothing could take.

    Attributes:
        reason: What is wrong and what would do.
        line: From 1; 0 when it is not known.
        column: From 1; 0 when it is not known.
    """

    def __init__(self, reason: str, line: int = 0, column: int = 0) -> None:
        super().__init__(f"{reason} (line {line}, column {column})" if line else reason)
        self.reason = reason
        self.line = line
        self.column = column


def parse(text: str) -> Any:
    """The value of one JSON text: each key once, numbers that JSON has, whole characters, bounded depth.

    Raises:
        NotJson: It is none.
    """
    try:
        value = json.loads(text, object_pairs_hook=_each_once, parse_constant=_no_number)
    except json.JSONDecodeError as problem:
        raise NotJson(problem.msg, problem.lineno, problem.colno) from None
    except RecursionError:
        raise _too_deep() from None
    except NotJson:
        raise
    except ValueError:  # Python's own cap on the digits of a whole number.
        raise NotJson("a whole number has too many digits; write it as a text") from None
    _check(value)
    return value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise NotJson(f"the key {twice[:80]!a} comes twice in one object; keep one")
    return made


def _no_number(name: str) -> Any:
    raise NotJson(f"{name} is not a number in JSON; leave it out or write null")


def _too_deep() -> NotJson:
    return NotJson(f"it is nested too deeply; at most {MAX_DEPTH} levels")


def _check(root: Any) -> None:
    """Look at every level and every text, without recursion."""
    pending = [(root, 0)]
    while pending:
        value, depth = pending.pop()
        if isinstance(value, str) and (found := _SURROGATE.search(value)):
            raise NotJson(f"a text holds half a character (\\u{ord(found[0]):04x}); write the whole one")
        if not isinstance(value, dict | list):
            continue
        if depth >= MAX_DEPTH:
            raise _too_deep()
        if isinstance(value, dict):
            pending += [(key, depth + 1) for key in value]
        pending += [(child, depth + 1) for child in (value.values() if isinstance(value, dict) else value)]
