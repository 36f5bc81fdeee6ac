"""JSON text to values and back, by the interpreter's own scanner and encoder.

The `json` module drives the same two, but imports `re` and `enum` first: more than all the rest of a job's start.
"""

from __future__ import annotations

from _json import encode_basestring, make_encoder, make_scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WHITESPACE = " \t\n\r"


class _Reading:
    """What the scanner asks for: JSON as it is, and the names that Python's own encoder may have written."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


_scan = make_scanner(_Reading)  # pyright: ignore[reportArgumentType] - the stub names the scanner itself


def read(text: bytes) -> Any:
    """The value of one JSON text in UTF-8.

    Raises:
        ValueError: It is not one.
    """
    whole = text.decode().strip(WHITESPACE)
    try:
        value, end = _scan(whole, 0)
    except (StopIteration, SystemError):  # how the scanner fails, the latter while `json` is not loaded
        value, end = None, -1
    return value if end == len(whole) else __import__("json").loads(whole)  # which refuses it and says where


def write(value: Any) -> bytes:
    """The value as one line of JSON in UTF-8, without a line's end.

    Raises:
        ValueError: It holds itself, a number that JSON does not have, or text that is not Unicode.
        TypeError: It holds what JSON does not have.
    """
    encode = make_encoder({}, _refuse, encode_basestring, None, ":", ",", False, False, False)
    return "".join(encode(value, 0)).encode()


def _refuse(value: object) -> Any:
    raise TypeError(f"a {type(value).__name__} is not JSON")
