import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aspora_sdk import jsontext

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(VALUES)
def test_what_is_written_is_what_json_writes_and_reads_back(value: Any) -> None:
    try:
        expected = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        with pytest.raises(UnicodeEncodeError):
            jsontext.write(value)
        return
    assert jsontext.write(value) == expected
    assert jsontext.read(expected) == value


@given(VALUES)
def test_what_json_writes_is_read_however_it_is_laid_out(value: Any) -> None:
    assert jsontext.read(json.dumps(value, indent=1).encode() + b"\r\n") == value


NO_JSON = [b"", b" ", b"{", b"[1,]", b"{'a':1}", b"nope", b'"open', b'"\\x"', b'"\x01"', b"1 2", b"{} []", b"\xff"]


@pytest.mark.parametrize("text", [*NO_JSON, b"\xef\xbb\xbf1"])
def test_what_is_not_one_json_text_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):
        jsontext.read(text)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")], {"a": "\ud800"}])
def test_numbers_and_text_that_json_lacks_are_refused(value: object) -> None:
    with pytest.raises(ValueError):
        jsontext.write(value)


@pytest.mark.parametrize("value", [{1}, b"x", {"a": object()}, {(1, 2): 3}])
def test_values_that_json_lacks_are_refused(value: object) -> None:
    with pytest.raises(TypeError):
        jsontext.write(value)


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ValueError, match=r"[Cc]ircular"):
        jsontext.write(value)


def test_a_text_nested_beyond_the_interpreter_is_an_error_and_no_crash() -> None:
    depth = 10 * sys.getrecursionlimit()
    with pytest.raises(RecursionError):
        jsontext.read(b"[" * depth + b"]" * depth)
