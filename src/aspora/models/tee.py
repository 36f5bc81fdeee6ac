"""An event stream passed on byte for byte, while what it says of tokens, cost and the answer's end is read. Pure."""

import json
from typing import Any

from aspora.models.wire import Answer, StreamReader, load_json

DONE = b"data: [DONE]\n\n"


class StreamTee:
    """Takes bytes as they arrive and gives whole events back, as they came.

    Args:
        shows_usage: Whether the caller asked for the event that holds nothing but token counts; else it is kept back.
    """

    def __init__(self, *, shows_usage: bool) -> None:
        self._shows_usage = shows_usage
        self._reader = StreamReader()
        self._rest = b""
        self._event: list[bytes] = []
        self.output_bytes = 0
        """Of all events with output so far: at least as many as the tokens of that output."""

    @property
    def has_output(self) -> bool:
        """Whether some of the answer has come."""
        return self._reader.has_output

    @property
    def generation(self) -> str:
        """The upstream's id of the answer; "" while it is not known."""
        return self._reader.generation

    def feed(self, piece: bytes) -> list[bytes]:
        """Take bytes; the events that are whole now.

        Raises:
            Malformed: A line is no event, or an event is no chunk.
            ErrorInBody: The upstream reports an error in mid-stream.
        """
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        events: list[bytes] = []
        for line in lines:
            for _ in self._reader.take(line):
                pass
            self._event.append(line)
            if line.strip(b"\r") == b"":
                events += self._whole()
        return events

    def finish(self) -> tuple[list[bytes], Answer]:
        """What was left, and the answer, after the last byte.

        Raises:
            Malformed: The stream ended before the answer did.
        """
        events = self.feed(b"\n\n") if self._rest or self._event else []
        return events, self._reader.finish()

    def _whole(self) -> list[bytes]:
        event, self._event = b"\n".join(self._event) + b"\n", []
        if not event.strip():
            return []
        if not self._shows_usage and _is_usage_alone(event):
            return []
        self.output_bytes += len(event)
        return [event]


def _is_usage_alone(event: bytes) -> bool:
    """Whether it is the event that upstreams add for `include_usage`: token counts and no choice."""
    if b'"usage"' not in event:
        return False
    chunk: Any = load_json(b"".join(line[5:] for line in event.splitlines() if line.startswith(b"data:")))
    return isinstance(chunk, dict) and chunk.get("choices") == [] and bool(chunk.get("usage"))


def error_event(message: str, *, reason: str) -> bytes:
    """An error after the answer has begun, in OpenAI's form."""
    error = {"error": {"message": message, "type": "upstream_error", "code": reason, "param": None}}
    return f"data: {json.dumps(error)}\n\n".encode()


def as_events(raw: bytes) -> list[bytes]:
    """An answer in one piece as the events of a stream, for a caller who asked for one.

    Raises:
        Malformed: It is no JSON.
    """
    whole: Any = json.loads(raw)
    choices = [
        {
            "index": choice.get("index", i),
            "delta": choice.get("message", {}),
            "finish_reason": choice.get("finish_reason"),
        }
        for i, choice in enumerate(whole.get("choices", []))
    ]
    chunk = {**whole, "object": "chat.completion.chunk", "choices": choices}
    return [f"data: {json.dumps(chunk)}\n\n".encode(), DONE]
