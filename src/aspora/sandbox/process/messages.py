"""What driver and supervisor say to each other: one JSON object a datagram, over a socket pair of their own."""

import json
import socket
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

MAX_MESSAGE_BYTES = 65536


class Spawn(TypedDict):
    """Start a process that waits on its stdin; its stdin, stdout and stderr come along as descriptors.

    Attributes:
        env: The whole environment, except HOME and TMPDIR, which the supervisor sets to the job's own folders.
    """

    op: str
    argv: Sequence[str]
    env: Mapping[str, str]


class Begin(TypedDict):
    """Fill the waiting process's folder with the artifact and put it under limits."""

    op: str
    artifact_dir: str
    timeout_seconds: float
    cpu_seconds: int
    memory_bytes: int
    max_processes: int
    max_file_bytes: int


class Finish(TypedDict):
    """The answer is there: let the process leave by itself for so long, then kill it."""

    op: str
    grace_seconds: float


class Done(TypedDict):
    """No process of the job is left.

    Attributes:
        cause: What ended it: `exited`, `killed`, `timeout`, `memory` or `processes`; `stuck` before its program ran.
        exit_code: Of the first process; None when a signal ended it.
        signal: That signal; None when it exited.
        stragglers: Processes that were still there when the first one had ended.
    """

    event: str
    cause: str
    exit_code: int | None
    signal: int | None
    cpu_seconds: float
    max_rss_bytes: int
    stragglers: int


def send(sock: socket.socket, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
    """Send one message whole."""
    socket.send_fds(sock, [json.dumps(message).encode()], fds)


def receive(sock: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Block for one message and its descriptors; None when the other side is gone."""
    try:
        data, fds, _, _ = socket.recv_fds(sock, MAX_MESSAGE_BYTES, 3)
    except ConnectionResetError:
        return None
    return (decode(data), fds) if data else None


def decode(data: bytes) -> dict[str, Any]:
    """Read one message."""
    return json.loads(data)
