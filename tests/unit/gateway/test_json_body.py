"""JSON from strangers never becomes a server error."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aspora.gateway.json_body import MAX_DEPTH, parse_json, parse_json_object
from aspora.meta.errors import BadRequest

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")), inner)
    ),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"{", "line 1, column 2"),
        (b"[]", "a list"),
        (b"null", "null"),
        (b'{"a":1,"a":2}', "'a' appears twice"),
        (b'{"a":{"b":1,"b":1}}', "'b' appears twice"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":-Infinity}', "Infinity"),
        (b'{"a":1e999}', "too large"),
        (b'{"a":' + b"9" * 5000 + b"}", "can't be kept"),
        (b'{"a":"\xff"}', "not UTF-8: byte 6"),
        (b'\xef\xbb\xbf{"a":1}', "byte order mark"),
        (b'{"a":"\\u0000"}', "NUL"),
        (b'{"\\u0000":1}', "NUL"),
        (b'{"a":["x","\\ud800"]}', "lone surrogate"),
        (b'{"a":"\\udc00\\ud800"}', "lone surrogate"),
        (b'{"a":"\x00"}', "not JSON"),
        (b'{"a":' + b"[" * 65 + b"]" * 65 + b"}", "too deeply"),
        (b'{"a":' + b"[" * 500_000, "too deeply"),
        (b'{"a":1} trailing', "Extra data"),
    ],
)
def test_refuses_with_a_reason(body: bytes, says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        parse_json_object(body)


@given(JSON)
def test_reads_what_is_json(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


def test_reads_emoji_written_as_escapes_and_the_deepest_allowed_nesting() -> None:
    assert parse_json_object(b'{"a":"\\ud83d\\ude00"}') == {"a": "\U0001f600"}
    depth = MAX_DEPTH - 1
    parse_json_object(b'{"a":' + b"[" * depth + b"]" * depth + b"}")
    with pytest.raises(BadRequest):
        parse_json_object(b'{"a":' + b"[" * (depth + 1) + b"]" * (depth + 1) + b"}")
