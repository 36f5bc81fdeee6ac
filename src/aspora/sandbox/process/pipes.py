"""The driver's ends of a job's pipes: read and written from the event loop, in chunks, under the reader's control."""

import asyncio
import contextlib
import fcntl
import os
import struct
import termios
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

CHUNK_BYTES = 65536


@dataclass(frozen=True, slots=True)
class ChildPipes:
    """A waiting process's stdin (to write), stdout and stderr (to read), as descriptors owned by the holder."""

    stdin: int
    stdout: int
    stderr: int

    def close(self) -> None:
        """Give up all three."""
        for fd in (self.stdin, self.stdout, self.stderr):
            os.close(fd)


def open_pipes() -> tuple[ChildPipes, list[int]]:
    """Three fresh pipes: our ends, not blocking, and the child's stdin, stdout and stderr for the caller to close."""
    child_in, our_in = os.pipe()
    our_out, child_out = os.pipe()
    our_err, child_err = os.pipe()
    for fd in (our_in, our_out, our_err):
        os.set_blocking(fd, False)
    return ChildPipes(stdin=our_in, stdout=our_out, stderr=our_err), [child_in, child_out, child_err]


class Reader:
    """Hands on what a pipe holds, a chunk a turn of the loop, until it ends or is stopped.

    Args:
        fd: The pipe's reading end; the reader never closes it.
        on_data: Takes each chunk.
        on_end: Called once, when the other side is closed.
    """

    def __init__(self, fd: int, *, on_data: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        self._fd = fd
        self._on_data = on_data
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._reading = False
        self.ended = False

    def resume(self) -> None:
        """Read on (or begin to)."""
        if not self._reading and not self.ended:
            self._reading = True
            self._loop.add_reader(self._fd, self._read)

    def pause(self) -> None:
        """Leave the rest in the pipe; a writer on the other side blocks."""
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._fd)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, CHUNK_BYTES)
        except BlockingIOError:
            return
        if data:
            self._on_data(data)
        else:
            self.pause()
            self.ended = True
            self._on_end()


class Writer:
    """Writes lines to a pipe without blocking the loop; what a dead reader would have got is dropped."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._loop = asyncio.get_running_loop()
        self._queue: deque[memoryview] = deque()
        self._drained: asyncio.Future[None] | None = None
        self._closed = False
        self._written_bytes = 0

    @property
    def unread(self) -> bool:
        """Whether the other side has read nothing at all: every byte that went into the pipe is still in it."""
        (held_bytes,) = struct.unpack("i", fcntl.ioctl(self._fd, termios.FIONREAD, bytes(4)))
        return held_bytes == self._written_bytes

    def write(self, data: bytes) -> None:
        """Queue a line."""
        if self._closed:
            return
        self._queue.append(memoryview(data))
        if len(self._queue) == 1:
            self._flush()

    async def drained(self) -> None:
        """Wait until all that was queued is in the pipe."""
        if self._queue:
            if self._drained is None:
                self._drained = self._loop.create_future()
            await asyncio.shield(self._drained)

    def close(self) -> None:
        """Drop what is queued and stop watching the pipe; the descriptor stays the owner's."""
        self._closed = True
        self._queue.clear()
        self._settle()

    def _flush(self) -> None:
        try:
            while self._queue:
                head = self._queue[0]
                written = os.write(self._fd, head)
                self._written_bytes += written
                if written == len(head):
                    self._queue.popleft()
                else:
                    self._queue[0] = head[written:]
        except BlockingIOError:
            self._loop.add_writer(self._fd, self._flush)
        except BrokenPipeError:
            self.close()
        else:
            self._settle()

    def _settle(self) -> None:
        with contextlib.suppress(ValueError, OSError):
            self._loop.remove_writer(self._fd)
        if self._drained is not None:
            if not self._drained.done():
                self._drained.set_result(None)
            self._drained = None
