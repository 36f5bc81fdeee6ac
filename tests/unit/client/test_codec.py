import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aspora.client.codec import LineSplitter, decode_body, encode_body, error_of, object_list, plurals, watch_event
from aspora.client.interface import WatchEvent
from aspora.meta.errors import (
    BY_REASON,
    Expired,
    FieldError,
    Internal,
    Invalid,
    StatusError,
    TooManyRequests,
    Unavailable,
)


@pytest.mark.parametrize("sort", BY_REASON.values())
def test_every_error_survives_the_wire(sort: type[StatusError]) -> None:
    sent = sort("what, which, what would do", details=[FieldError("spec.x", "is ü", "Required")])
    read = error_of(sort.code, {}, encode_body(sent.to_status()), source="here")
    assert (type(read), read.message, read.details) == (sort, sent.message, sent.details)


def test_when_to_come_back_travels_in_a_header() -> None:
    body = encode_body(TooManyRequests("slow down").to_status())
    assert error_of(429, {"retry-after": "7"}, body, source="here").retry_after_seconds == 7
    assert error_of(429, {"retry-after": "soon"}, body, source="here").retry_after_seconds is None


@pytest.mark.parametrize("body", [b"", b"<html>502</html>", b"[]", b'{"kind":"Other"}', b"\xff", b"null"])
def test_an_error_of_something_else_is_unavailable_and_says_where(body: bytes) -> None:
    error = error_of(502, {}, body, source="http://h:1")
    assert isinstance(error, Unavailable)
    assert "http://h:1 answered 502" in error.message


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]"])
def test_an_answer_that_is_no_object_is_unavailable(body: bytes) -> None:
    with pytest.raises(Unavailable, match="here"):
        decode_body(body, source="here")


def test_lists_and_discovery() -> None:
    page = object_list({"metadata": {"resourceVersion": "9", "continue": ""}, "items": [{"a": 1}]})
    assert (page.items, page.resource_version, page.continue_token) == (({"a": 1},), "9", None)
    assert object_list({"metadata": {"resourceVersion": "9", "continue": "t"}, "items": []}).continue_token == "t"
    assert plurals({"resources": [{"kind": "Policy", "name": "policies"}]}) == {"Policy": "policies"}


@given(lines=st.lists(st.binary(min_size=1).filter(lambda b: b"\n" not in b and b.strip())), data=st.data())
def test_lines_come_out_whole_wherever_the_chunks_end(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    splitter, found, at = LineSplitter(), list[bytes](), 0
    while at < len(stream):
        size = data.draw(st.integers(1, len(stream) - at))
        found += splitter.feed(stream[at : at + size])
        at += size
    splitter.finish()
    assert found == lines


def test_a_stream_that_breaks_in_a_line_is_not_an_end() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b'{"a":1}\n\n{"b"') == [b'{"a":1}']
    with pytest.raises(Unavailable, match="middle of a line"):
        splitter.finish()


def test_a_line_without_end_is_refused() -> None:
    splitter = LineSplitter(max_line_bytes=10)
    splitter.feed(b"x" * 10)
    with pytest.raises(Unavailable):
        splitter.feed(b"x")


def test_events() -> None:
    line = json.dumps({"type": "ADDED", "object": {"metadata": {"name": "a"}}}).encode()
    assert watch_event(line) == WatchEvent("ADDED", {"metadata": {"name": "a"}})
    with pytest.raises(Expired, match="list again"):
        watch_event(json.dumps({"type": "ERROR", "object": Expired("list again").to_status()}).encode())
    for bad in (
        b"{",
        b"[]",
        b'"x"',
        b'{"type":"ADDED"}',
        b'{"type":"GONE","object":{}}',
        b'{"type":[],"object":{}}',
        b'{"type":"ERROR","object":1}',
    ):
        with pytest.raises(Internal):
            watch_event(bad)


def test_invalid_keeps_all_its_fields() -> None:
    body = Invalid("2 problems", details=[FieldError("a", "x"), FieldError("b", "y")]).to_status()
    assert [d.field for d in error_of(422, {}, encode_body(body), source="").details] == ["a", "b"]


def test_what_the_command_line_shares_is_light() -> None:
    code = "import sys, aspora.client.codec, aspora.client.paths; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert {"pydantic", "aiohttp", "asyncio", "psycopg", "starlette"}.isdisjoint(loaded)
