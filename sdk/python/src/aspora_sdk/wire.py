"""JSON-RPC messages over two file descriptors, one UTF-8 JSON object a line."""

from __future__ import annotations

import os
from _thread import allocate_lock

from aspora_sdk import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CHUNK_BYTES = 65536


class Wire:
    """One connection to the host.

    Attributes:
        read_fd: Where the host's lines arrive; for an event loop to watch.
        closed: Whether the host has closed its side.
    """

    def __init__(self, *, read_fd: int, write_fd: int) -> None:
        self.read_fd = read_fd
        self.closed = False
        self._write_fd = write_fd
        self._writing = allocate_lock()
        self._lines: list[bytes] = []
        self._partial: list[bytes] = []

    def send(self, message: dict[str, Any]) -> None:
        """Write one message whole, whichever thread calls.

        Raises:
            ValueError: The message is not JSON.
            TypeError: The message is not JSON.
        """
        line = memoryview(jsontext.write(message) + b"\n")
        with self._writing:
            while line:
                line = line[os.write(self._write_fd, line) :]

    def receive(self) -> dict[str, Any] | None:
        """Block for the next message; None when the host has closed its side."""
        while not self._lines and not self.closed:
            self._read()
        return jsontext.read(self._lines.pop(0)) if self._lines else None

    def receive_ready(self) -> list[dict[str, Any]]:
        """Read once (the descriptor is readable) and return the messages that are complete."""
        self._read()
        lines, self._lines = self._lines, []
        return [jsontext.read(line) for line in lines]

    def _read(self) -> None:
        chunk = os.read(self.read_fd, CHUNK_BYTES)
        if not chunk:
            self.closed = True
            return
        *complete, rest = chunk.split(b"\n")
        if complete:
            complete[0] = b"".join(self._partial) + complete[0]
            self._partial.clear()
            self._lines += [line for line in complete if line.strip()]
        if rest:
            self._partial.append(rest)


def take_stdio() -> Wire:
    """Make stdin and stdout the wire's own, so that what the handler prints or reads cannot disturb it.

    Descriptor 1 becomes a copy of 2: `print` lands in the log. Descriptor 0 becomes empty.
    """
    wire = Wire(read_fd=os.dup(0), write_fd=os.dup(1))
    empty_fd, closed_fd = os.pipe()
    os.close(closed_fd)
    os.dup2(empty_fd, 0)
    os.close(empty_fd)
    os.dup2(2, 1)
    return wire
