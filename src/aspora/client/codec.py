"""What the API's answers mean: errors, lists, lines of a stream.

Standard library alone, for the command line uses it too.
"""

import json
from collections.abc import Mapping
from typing import Any, cast

from aspora.client.interface import ObjectList, WatchEvent
from aspora.meta.errors import Internal, StatusError, Unavailable, from_status

MAX_LINE_BYTES = 64 * 1024 * 1024
_EVENT_TYPES = ("ADDED", "MODIFIED", "DELETED", "BOOKMARK")


def encode_body(value: object) -> bytes:
    """A value as a request's body."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def decode_body(body: bytes, *, source: str) -> dict[str, Any]:
    """The JSON object in an answer.

    Args:
        body: The answer's bytes.
        source: Where it came from, for the message.

    Raises:
        Unavailable: It is none: something else than Aspora answers there.
    """
    try:
        value: Any = json.loads(body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Unavailable(
            f"{source} did not answer with a JSON object, as an Aspora gateway would; see that the address is right"
        )
    return cast("dict[str, Any]", value)


def error_of(status: int, headers: Mapping[str, str], body: bytes, *, source: str) -> StatusError:
    """The error that an answer carries.

    Args:
        status: HTTP status, 300 or above.
        headers: By lower-case name.
        body: A `Status` object from a gateway; from a proxy, anything.
        source: Where it came from, for the message.
    """
    try:
        sent = decode_body(body, source=source)
    except Unavailable:
        sent = {}
    if sent.get("kind") != "Status":
        return Unavailable(f"{source} answered {status}, not as an Aspora gateway would; see that the address is right")
    error = from_status(sent)
    wait = headers.get("retry-after", "")
    error.retry_after_seconds = float(wait) if wait.isascii() and wait.isdecimal() and len(wait) < 9 else None
    return error


def object_list(body: Mapping[str, Any]) -> ObjectList:
    """A page of objects from a list's JSON."""
    metadata: Mapping[str, Any] = body["metadata"]
    return ObjectList(tuple(body["items"]), metadata["resourceVersion"], metadata.get("continue") or None)


def plurals(body: Mapping[str, Any]) -> dict[str, str]:
    """Kind → plural, from discovery's JSON."""
    return {resource["kind"]: resource["name"] for resource in body["resources"]}


class LineSplitter:
    """Cuts a stream of bytes into lines, wherever the chunks end."""

    def __init__(self, *, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._rest = bytearray()
        self._max_line_bytes = max_line_bytes

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that the chunk completes, without their ends; empty lines are left out.

        Raises:
            Unavailable: A line has no end.
        """
        self._rest += chunk
        if b"\n" in chunk:
            *lines, rest = bytes(self._rest).split(b"\n")
            self._rest = bytearray(rest)
        else:
            lines = []
        if len(self._rest) > self._max_line_bytes:
            raise Unavailable(
                f"the stream sent a line of over {self._max_line_bytes} bytes; watch fewer objects, by a selector"
            )
        return [line for line in lines if line.strip()]

    def finish(self) -> None:
        """The stream has ended.

        Raises:
            Unavailable: In the middle of a line.
        """
        if self._rest.strip():
            raise Unavailable("the stream broke off in the middle of a line; connect again")


def watch_event(line: bytes) -> WatchEvent:
    """An event from a line of a watch.

    Raises:
        StatusError: The line carries an error, the server's last word.
        Internal: The line is no event.
    """
    try:
        sent: Any = json.loads(line)
        kind, obj = sent["type"], sent["object"]
    except (ValueError, KeyError, TypeError):
        raise Internal("the watch sent a line that is no event; see that the address is right") from None
    if not isinstance(obj, Mapping):
        raise Internal("the watch sent an event without an object; see that the address is right")
    obj = cast("Mapping[str, Any]", obj)
    if kind == "ERROR":
        raise from_status(obj)
    if kind not in _EVENT_TYPES:
        raise Internal(
            f"the watch sent an event of unknown type {str(kind)[:40]!r}; use the Aspora of the gateway's release"
        )
    return WatchEvent(kind, obj)
