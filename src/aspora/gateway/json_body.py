"""JSON from strangers: strict, bounded, and never a server error.

Refused beyond what RFC 8259 refuses: duplicate keys, NaN and infinities (also by overflow, `1e999`), deep nesting,
lone surrogates, and NUL (PostgreSQL's `jsonb` can't hold it).
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from aspora.meta.errors import BadRequest

MAX_DEPTH = 64

_SUSPECT_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2})")
_FORBIDDEN_TEXT = re.compile("[\x00\ud800-\udfff]")


def parse_json(body: bytes) -> Any:
    """The value in a request's body.

    Raises:
        BadRequest: With what is wrong and, where known, at which line and column.
    """
    if body.startswith(b"\xef\xbb\xbf"):
        raise BadRequest("the body starts with a byte order mark; send plain UTF-8")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as e:
        raise BadRequest(f"the body is not UTF-8: byte {e.start} can't be read; send plain UTF-8") from None
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as e:
        raise BadRequest(f"the body is not JSON: {e.msg} at line {e.lineno}, column {e.colno}") from None
    except RecursionError:
        raise _too_deep() from None
    except _Unkeepable as e:
        raise BadRequest(f"the body can't be kept: {e}") from None
    except ValueError:
        raise BadRequest("the body can't be kept: a whole number has too many digits; send it as a text") from None
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH or _SUSPECT_ESCAPE.search(body):
        _check_tree(value)
    return value


def parse_json_object(body: bytes) -> dict[str, Any]:
    """The object in a request's body.

    Raises:
        BadRequest: Also when the body is empty or another sort of value.
    """
    if not body.strip():
        raise BadRequest("the body is empty; send a JSON object")
    value = parse_json(body)
    if not isinstance(value, dict):
        raise BadRequest(f"the body must be a JSON object, not {_SORTS.get(type(value), 'a value')}")
    return value  # pyright: ignore[reportUnknownVariableType]


class _Unkeepable(ValueError):
    """JSON by the letter, yet nothing that could be stored and read back the same."""


_SORTS: dict[type, str] = {
    list: "a list",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Unkeepable(f"key {key[:80]!r} appears twice in one object; keep one")
            seen.add(key)
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _Unkeepable(f"number {text[:40]} is too large; send it as a text")
    return value


def _no_constant(name: str) -> Any:
    raise _Unkeepable(f"{name} is not a number in JSON; leave it out or send null")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_constant)


def _too_deep() -> BadRequest:
    return BadRequest(f"the body is nested too deeply; at most {MAX_DEPTH} levels")


def _texts_and_children(value: Any) -> Iterator[tuple[str | None, Any]]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield key, child
    elif isinstance(value, list):
        for child in value:
            yield None, child


def _check_tree(root: Any) -> None:
    """Walk without recursion; look at every string and every level."""
    pending = [(root, 1)]
    _check_text(root)
    while pending:
        value, depth = pending.pop()
        if depth > MAX_DEPTH and isinstance(value, (dict, list)):
            raise _too_deep()
        for key, child in _texts_and_children(value):
            _check_text(key)
            _check_text(child)
            if isinstance(child, (dict, list)):
                pending.append((child, depth + 1))


def _check_text(value: Any) -> None:
    if isinstance(value, str) and (found := _FORBIDDEN_TEXT.search(value)):
        sort = "a NUL character" if found[0] == "\x00" else "a lone surrogate"
        raise BadRequest(
            f"a string in the body holds {sort} (\\u{ord(found[0]):04x}), which can't be stored; remove it"
        )
