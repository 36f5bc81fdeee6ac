"""JSON text that PostgreSQL can keep: no NUL, no lone surrogate, no NaN."""

import json
import re
from collections.abc import Mapping
from typing import Any

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
REPLACEMENT = "\ufffd"


def storable_text(text: str) -> str:
    """The text with what PostgreSQL refuses replaced by U+FFFD."""
    return _UNSTORABLE.sub(REPLACEMENT, text)


def is_storable(value: object) -> bool:
    """Whether every text in a JSON value can be stored as it is."""
    match value:
        case str():
            return _UNSTORABLE.search(value) is None
        case Mapping():
            return all(is_storable(k) and is_storable(v) for k, v in value.items())
        case list() | tuple():
            return all(is_storable(v) for v in value)
        case _:
            return True


def _storable(value: Any) -> Any:
    match value:
        case str():
            return storable_text(value)
        case Mapping():
            return {storable_text(str(k)): _storable(v) for k, v in value.items()}
        case list() | tuple():
            return [_storable(v) for v in value]
        case _:
            return value


def encode(value: object) -> str:
    """Compact JSON of a value that is storable as it is.

    Raises:
        ValueError: NaN or infinity.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def encode_leniently(value: object) -> str:
    """Compact JSON with unstorable characters replaced: for logs and events, where the rest matters more."""
    text = encode(value)
    return text if "\\u0000" not in text and _UNSTORABLE.search(text) is None else encode(_storable(value))
