"""The host's end of the wire: the same events however the bytes are cut, and every cap."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aspora.meta.errors import Conflict, Forbidden
from aspora.sandbox.interface import FailureReason
from aspora.sandbox.jsonrpc import Answer, Call, Event, Log, Peer, WireCaps, WireViolation

ANSWER = {"jsonrpc": "2.0", "id": 1, "result": {"success": True, "message": "ok"}}
CALL = {"jsonrpc": "2.0", "id": "c1", "method": "tools.read", "params": {"path": "größer"}}
LOG = {"jsonrpc": "2.0", "method": "log", "params": {"level": "info", "message": "hi", "fields": {"n": 1}}}


def peer(*, max_total_bytes: int = 1 << 20, max_line_bytes: int = 1 << 16, max_logs: int = 100) -> Peer:
    return Peer(WireCaps(max_total_bytes=max_total_bytes, max_line_bytes=max_line_bytes, max_logs=max_logs))


def lines(*messages: Any) -> bytes:
    return b"".join(json.dumps(message, ensure_ascii=False).encode() + b"\n" for message in messages)


def events(subject: Peer) -> list[Event]:
    return list(iter(subject.next_event, None))


def violation(subject: Peer) -> WireViolation:
    with pytest.raises(WireViolation) as caught:
        events(subject)
    return caught.value


def test_the_request_is_one_line_of_json() -> None:
    line = peer().request(entry_point="code/handler.py", context={"input": {"user_message": "a\nb \ud800"}})
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "execute",
        "params": {"entry_point": "code/handler.py", "context": {"input": {"user_message": "a\nb \ud800"}}},
    }


@pytest.mark.parametrize("context", [{"x": float("nan")}, {"x": object()}])
def test_a_context_that_is_not_json_is_refused(context: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        peer().request(entry_point="x", context=context)


@given(st.lists(st.integers(1, 40)))
def test_events_are_the_same_however_the_bytes_are_cut(sizes: list[int]) -> None:
    subject, data, seen = peer(), lines(LOG, CALL, ANSWER), list[Event]()
    for size in sizes:
        subject.feed(data[:size])
        data = data[size:]
        seen += events(subject)
    subject.feed(data)
    seen += events(subject)
    assert seen == [
        Log("info", "hi", {"n": 1}),
        Call("c1", "tools.read", {"path": "größer"}),
        Answer(result=ANSWER["result"]),
    ]
    assert subject.answered


@given(st.binary(max_size=300))
def test_any_bytes_give_events_or_a_violation(data: bytes) -> None:
    subject = peer(max_total_bytes=200, max_line_bytes=100)
    subject.feed(data)
    with contextlib.suppress(WireViolation):
        events(subject)
        subject.end()


def test_what_follows_the_answer_is_ignored() -> None:
    subject = peer(max_total_bytes=300)
    subject.feed(lines(ANSWER) + b"garbage\n" + b"x" * 1000)
    assert len(events(subject)) == 1
    subject.feed(b"x" * 10_000)
    assert events(subject) == []
    subject.end()


def test_messages_before_a_violation_count() -> None:
    subject = peer()
    subject.feed(lines(LOG) + b"garbage\n")
    assert subject.next_event() == Log("info", "hi", {"n": 1})
    assert violation(subject).reason == FailureReason.PROTOCOL_ERROR


def test_a_message_is_decoded_only_when_pulled() -> None:
    subject = peer()
    subject.feed(lines(LOG, LOG))
    assert subject.next_event() is not None
    assert subject.next_event() is not None
    assert subject.next_event() is None


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b'"text"',
        b'{"id":1,"result":{}}',
        b'{"jsonrpc":"2.0","id":true,"result":{}}',
        b'{"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","id":1,"error":"text"}',
        b'{"jsonrpc":"2.0","id":1,"result":-Infinity}',
        b'{"jsonrpc":"2.0","id":7,"method":"tools.read"}',
        b'{"jsonrpc":"2.0","id":"c1","method":5}',
        b'{"jsonrpc":"2.0","id":"c1","method":"tools.read","params":[]}',
        b'{"jsonrpc":"2.0","id":"c1","method":"tools.read","params":{"path":"a\\u0000"}}',
        b'{"jsonrpc":"2.0","method":"log","params":{"message":"\\udfff"}}',
        b'{"jsonrpc":"2.0","id":1,"result":' + b"9" * 5000 + b"}",
    ],
)
def test_messages_that_are_not_the_protocol(line: bytes) -> None:
    subject = peer()
    subject.feed(line + b"\n")
    if not line:
        assert events(subject) == []
    else:
        assert violation(subject).reason == FailureReason.PROTOCOL_ERROR


def test_violations_do_not_quote_what_was_written() -> None:
    subject = peer()
    subject.feed(b"my password\n")
    assert "password" not in violation(subject).message


def test_surrogate_pairs_are_text() -> None:
    subject = peer()
    subject.feed(b'{"jsonrpc":"2.0","id":1,"result":{"success":true,"message":"\\ud83d\\ude00"}}\n')
    assert events(subject) == [Answer(result={"success": True, "message": "😀"})]


@pytest.mark.parametrize("tail", [b"", b"\n"])
def test_a_line_over_its_cap(tail: bytes) -> None:
    subject = peer(max_line_bytes=10)
    subject.feed(b"x" * 11 + tail)
    assert violation(subject).reason == FailureReason.OUTPUT_TOO_LARGE


def test_all_lines_over_their_cap() -> None:
    subject = peer(max_total_bytes=250)
    seen: list[Event] = []
    for _ in range(2):
        subject.feed(lines(LOG))
        seen += events(subject)
    subject.feed(lines(LOG))
    assert violation(subject).message == "the handler wrote more than 250 bytes on the wire; log and return less"
    assert len(seen) == 2


def test_logs_over_their_cap_are_dropped_once_told() -> None:
    subject = peer(max_logs=3)
    subject.feed(lines(*[LOG] * 10))
    seen = events(subject)
    assert [event.level for event in seen if isinstance(event, Log)] == ["info"] * 3 + ["warning"]


def test_log_fields_are_forced_into_shape() -> None:
    subject = peer()
    subject.feed(lines({"jsonrpc": "2.0", "method": "log", "params": {"level": "shout", "message": 5, "fields": []}}))
    assert events(subject) == [Log("info", "5", {})]


def test_unknown_notifications_are_ignored() -> None:
    subject = peer()
    subject.feed(lines({"jsonrpc": "2.0", "method": "news", "params": {}}))
    assert events(subject) == []


def test_the_wire_may_not_end_within_a_line() -> None:
    subject = peer()
    subject.feed(b'{"jsonrpc"')
    assert events(subject) == []
    with pytest.raises(WireViolation, match="no end"):
        subject.end()


def test_answers_to_calls() -> None:
    assert json.loads(peer().respond("c1", {"a": [1]})) == {"jsonrpc": "2.0", "id": "c1", "result": {"a": [1]}}
    refused = json.loads(peer().refuse("c1", Forbidden("not this")))["error"]
    assert refused == {"code": -32010, "message": "not this", "data": {"reason": "Forbidden"}}
    assert json.loads(peer().refuse("c1", Conflict("stale")))["error"]["data"]["reason"] == "Conflict"
    unfit: Any = object()
    assert json.loads(peer().respond("c1", unfit))["error"]["data"]["reason"] == "Internal"
