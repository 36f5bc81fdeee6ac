from collections.abc import Iterator
from typing import Any

import pytest

from aspora.cli.rest import ConnectionLost
from aspora.cli.watching import MAX_TRIES, changes
from aspora.meta.errors import Expired, Unavailable


class Streams:
    """Answers each watch with the next prepared stream."""

    def __init__(self, *streams: list[Any]) -> None:
        self.streams = list(streams)
        self.asked: list[str] = []

    def stream(self, path: str, *, query: Any, headers: Any, idle_seconds: float) -> Iterator[dict[str, Any]]:
        assert path == "/x"
        assert headers is None
        assert idle_seconds > 60
        self.asked.append(query["resourceVersion"])
        for event in self.streams.pop(0):
            if isinstance(event, Exception):
                raise event
            yield event


def event(version: int, type_: str = "MODIFIED") -> dict[str, Any]:
    return {"type": type_, "object": {"metadata": {"name": "a", "resourceVersion": str(version)}}}


def collect(rest: Streams, told: list[str] | None = None) -> Iterator[dict[str, Any]]:
    tell = (told if told is not None else []).append
    return changes(rest, "/x", query={}, since="5", tell=tell, sleep=lambda _: None)  # type: ignore[arg-type]


def test_an_ended_stream_is_taken_up_where_it_stood() -> None:
    rest = Streams([event(6), event(9, "BOOKMARK")], [event(10)], [])
    stream = collect(rest)
    assert [next(stream)["object"]["metadata"]["resourceVersion"] for _ in range(2)] == ["6", "10"]
    assert rest.asked == ["5", "9"]


def test_a_broken_connection_is_said_once_and_tried_again() -> None:
    told: list[str] = []
    rest = Streams([event(6), ConnectionLost("broke")], [Unavailable("refused")], [event(7)])
    stream = collect(rest, told)
    assert [next(stream)["object"]["metadata"]["resourceVersion"] for _ in range(2)] == ["6", "7"]
    assert rest.asked == ["5", "6", "6"]
    assert told == ["broke; trying again"]


def test_a_server_that_stays_away_ends_it() -> None:
    rest = Streams(*([Unavailable("gone")] for _ in range(MAX_TRIES)))
    with pytest.raises(Unavailable, match="gone"):
        next(collect(rest))
    assert len(rest.asked) == MAX_TRIES


def test_lost_history_is_the_callers_to_handle() -> None:
    lost = {"type": "ERROR", "object": {"reason": "Expired", "message": "list again"}}
    stream = collect(Streams([event(6), lost]))
    next(stream)
    with pytest.raises(Expired, match="list again"):
        next(stream)
