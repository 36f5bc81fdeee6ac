"""JSON that PostgreSQL can keep."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aspora.records.jsontext import encode, encode_leniently, is_storable, storable_text

TEXTS = st.text(st.characters(exclude_categories=()), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_lenient_text_is_always_storable_and_strict_text_when_it_says_so(value: object) -> None:
    kept = json.loads(encode_leniently(value).encode())
    assert is_storable(kept)
    if is_storable(value):
        assert json.loads(encode(value).encode()) == value == kept


def test_nul_and_half_surrogates_are_replaced() -> None:
    assert storable_text("a\x00b\ud800c") == "a\ufffdb\ufffdc"
    assert encode_leniently({"a\x00": ["\udfff"]}) == '{"a\ufffd":["\ufffd"]}'
    assert not is_storable({"ok": [{"\x00": 1}]})


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError):
        encode({"x": float("nan")})
