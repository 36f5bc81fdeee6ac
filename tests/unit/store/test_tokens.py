import pytest
from hypothesis import given
from hypothesis import strategies as st

from aspora.meta.errors import BadRequest
from aspora.store.tokens import PageStart, decode_token, encode_token, parse_version


@given(st.integers(0, 2**63 - 1), st.text(max_size=70), st.text(max_size=70), st.text(max_size=16))
def test_a_token_says_what_it_was_told(version: int, domain: str, name: str, query: str) -> None:
    start = PageStart(version, domain, name)
    token = encode_token(start, query=query)
    assert decode_token(token, query=query) == start
    assert token.isascii()
    with pytest.raises(BadRequest, match="another query"):
        decode_token(token, query=query + "x")


@given(st.data())
def test_a_changed_token_is_refused(data: st.DataObject) -> None:
    token = encode_token(PageStart(7, "d", "name"), query="q")
    place = data.draw(st.integers(0, len(token) - 1))
    changed = data.draw(st.characters(codec="ascii").filter(lambda c: c != token[place]))
    with pytest.raises(BadRequest):
        decode_token(token[:place] + changed + token[place + 1 :], query="q")


@given(st.text() | st.binary().map(lambda b: b.decode("latin-1")))
def test_nonsense_is_a_bad_request_and_nothing_else(token: str) -> None:
    with pytest.raises(BadRequest):
        decode_token(token, query="q")


def test_versions() -> None:
    assert parse_version("0") == 0
    assert parse_version("1795242159855680") == 1795242159855680
    for bad in ("", " 1", "-1", "1e3", "٣", "9" * 19):
        with pytest.raises(BadRequest):
            parse_version(bad)
