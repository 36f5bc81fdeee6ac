"""One write as the database takes it: JSON text, checked to be storable, and what other writes have to do with it."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from aspora.meta.errors import FieldError, Invalid
from aspora.store.interface import Key, Write

MAX_DEPTH = 100

_to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_SEEN_BY_ITSELF = frozenset(
    {
        *("op", "kind", "domain", "name", "uid", "at", "object"),
        *(
            "expectedVersion",
            "expectedUid",
            "livesIn",
            "leader",
            "finalizer",
            "audit",
            "comparedSpec",
            "convertedStatus",
        ),
    }
)
"""Parts of a payload for which no other write of a batch matters, but for the home of `livesIn`."""


@dataclass(frozen=True, slots=True)
class Item:
    """One write, encoded.

    Attributes:
        text: Its payload in JSON.
        size_bytes: Of the text in UTF-8.
        key: What it writes.
        lives_in: See `Write`.
        is_plain: It has no condition on other objects but `lives_in`.
    """

    text: str
    size_bytes: int
    key: Key
    lives_in: Key | None
    is_plain: bool


def encoded(write: Write, payload: Mapping[str, Any]) -> Item:
    """A write's payload as text.

    Raises:
        Invalid: The database would refuse a value in it, and all its neighbours with it.
    """
    try:
        text = _to_json(payload)
        size_bytes = len(text) if text.isascii() else len(text.encode())
        # Cheap, and true of nearly every object; the others are looked at more closely.
        is_storable = "\\u0000" not in text and text.count("[") + text.count("{") <= MAX_DEPTH
    except (ValueError, TypeError, RecursionError):
        text, size_bytes, is_storable = "", 0, False
    problem = None if is_storable else _storage_problem(payload)
    if problem is None and not text:
        problem = "can't be written as JSON; use texts, numbers, lists and maps with text keys"
    if problem is not None:
        key = write.key
        details = [FieldError("", problem)]
        raise Invalid(f"{key.kind[:80]} {key.name[:80]!r} can't be stored: {problem}", details=details)
    return Item(text, size_bytes, write.key, write.lives_in, is_plain=_SEEN_BY_ITSELF.issuperset(payload))


def are_independent(items: Sequence[Item]) -> bool:
    """Whether none of the writes can see another, so that their order doesn't matter."""
    keys = {item.key for item in items}
    return len(keys) == len(items) and all(item.is_plain and item.lives_in not in keys for item in items)


def _storage_problem(payload: Mapping[str, Any]) -> str | None:
    """Why the database would refuse a value; None when it won't."""
    waiting: list[tuple[Any, int]] = [(payload, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MAX_DEPTH:
            return f"is nested too deeply; at most {MAX_DEPTH} levels"
        match value:
            case str() if _UNSTORABLE.search(value):
                return "a text holds a NUL or half a surrogate pair; remove it"
            case float() if not math.isfinite(value):
                return "a number is infinite or not a number; leave it out"
            case Mapping():
                entries = cast("Mapping[Any, Any]", value)
                waiting += [(part, depth + 1) for entry in entries.items() for part in entry]
            case list() | tuple():
                waiting += [(part, depth + 1) for part in cast("list[Any]", value)]
            case str() | int() | float() | None:
                pass
            case _:
                return f"holds a {type(value).__name__}, which is no JSON; use texts, numbers, lists and maps"
    return None
