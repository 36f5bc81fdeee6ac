"""How a stream's values are told apart: lines of JSON, or server-sent events for browsers.

Source: WHATWG HTML, section 9.2 (server-sent events).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from aspora.gateway.http import NDJSON_TYPE, encode_json

SSE_TYPE = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Framing:
    """One way.

    Attributes:
        name: For caches of frames.
        media_type: Of the answer.
        frame: A value's bytes, its end included.
        headers: More headers of the answer.
    """

    name: str
    media_type: str
    frame: Callable[[Mapping[str, Any]], bytes]
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def line_frame(value: Mapping[str, Any]) -> bytes:
    """One line of JSON."""
    return encode_json(value) + b"\n"


def sse_frame(value: Mapping[str, Any], *, is_place: bool = True) -> bytes:
    """An event `{type, object}`: its type, the object as data, and its resource version as the id to go on from.

    A client that lost its place gets an empty id, so that it begins anew when it connects again.

    Args:
        value: The event.
        is_place: Whether a watch can go on from here: not amid the first list, whose rest would be missed.
    """
    kind: str = value["type"]
    obj: Mapping[str, Any] = value["object"]
    version = obj.get("metadata", {}).get("resourceVersion", "")
    has_id = kind == "ERROR" or (is_place and version)
    head = f"id: {version}\nevent: {kind}\ndata: " if has_id else f"event: {kind}\ndata: "
    # JSON as we write it has no line break in it.
    return head.encode() + encode_json(obj) + b"\n\n"


NDJSON = Framing("lines", NDJSON_TYPE, line_frame)
SSE = Framing("sse", SSE_TYPE, sse_frame, {"cache-control": "no-cache", "x-accel-buffering": "no"})


def framing_of(request: Request) -> Framing:
    """What `Accept` asks for: server-sent events when it names them, else lines of JSON."""
    offers = request.headers.get("accept", "").split(",")
    named = {offer.partition(";")[0].strip().lower() for offer in offers}
    return SSE if SSE_TYPE in named else NDJSON


def last_event_id(request: Request) -> str | None:
    """Where a browser that connects again goes on; None when it begins."""
    return request.headers.get("last-event-id") or None
