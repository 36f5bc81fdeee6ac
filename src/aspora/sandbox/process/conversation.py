"""One job's talk with the host: its wire, its log text and its calls, until a verdict."""

import asyncio
import contextlib
import logging
from typing import TypeAlias

from aspora.meta.errors import Internal, StatusError
from aspora.sandbox.interface import FailureReason, HostCalls
from aspora.sandbox.jsonrpc import Answer, Call, Log, Peer, WireCaps, WireViolation
from aspora.sandbox.process.pipes import ChildPipes, Reader, Writer

MAX_CALLS_IN_FLIGHT = 32
MAX_TAIL_BYTES = 65536
LEAVE_CALLS_SECONDS = 1.0

Verdict: TypeAlias = Answer | WireViolation | None
"""What the wire said in the end; None: it was closed without an answer."""

_log = logging.getLogger(__name__)


class Conversation:
    """Reads what the job writes, passes its calls and logs to the host, and answers.

    Attributes:
        verdict: Set once, by the first of: the answer, a violation, the end of the wire. Carries an exception when the
            host itself failed to take a log line.
    """

    def __init__(self, *, pipes: ChildPipes, host: HostCalls, caps: WireCaps) -> None:
        self.verdict: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._host = host
        self._peer = Peer(caps)
        self._max_stderr_bytes = caps.max_total_bytes
        self._stderr_bytes = 0
        self._tail = bytearray()
        self._calls: set[asyncio.Task[None]] = set()
        self._leaving = False
        self._quiet = asyncio.Event()
        self._stdin = Writer(pipes.stdin)
        self._stdout = Reader(pipes.stdout, on_data=self._take_wire, on_end=self._wire_ended)
        self._stderr = Reader(pipes.stderr, on_data=self._take_stderr, on_end=self._check_quiet)

    def begin(self, request: bytes) -> None:
        """Send the request and listen."""
        self._stdin.write(request)
        self._stdout.resume()
        self._stderr.resume()

    @property
    def unheard(self) -> bool:
        """Whether the job's process has read nothing of the request, so that no handler can have begun."""
        return self._stdin.unread

    async def drain(self, *, patience_seconds: float) -> None:
        """Once no process is left: read what the pipes still hold. Calls that come to light now are not made."""
        await self._leave_calls()
        self._pump()
        self._check_quiet()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_seconds):
                await self._quiet.wait()

    async def close(self) -> None:
        """Stop listening; the descriptors may be closed afterwards."""
        self.verdict.cancel()
        self._stdout.pause()
        self._stderr.pause()
        self._stdin.close()
        await self._leave_calls()

    def stderr_tail(self) -> str:
        """The last part of what the job printed."""
        return bytes(self._tail[-MAX_TAIL_BYTES:]).decode(errors="replace")

    def _take_wire(self, data: bytes) -> None:
        self._peer.feed(data)
        self._pump()

    def _pump(self) -> None:
        """Handle complete messages; stop reading while too many calls are in flight, and for good at the verdict."""
        try:
            while not self.verdict.done() and len(self._calls) < MAX_CALLS_IN_FLIGHT:
                event = self._peer.next_event()
                if event is None:
                    break
                self._handle(event)
        except WireViolation as violation:
            self._settle(violation)
        except Exception as problem:  # noqa: BLE001 - the host failed to take a log line; `run` raises it
            if not self.verdict.done():
                self.verdict.set_exception(problem)
        if self.verdict.done() or len(self._calls) >= MAX_CALLS_IN_FLIGHT:
            self._stdout.pause()
        else:
            self._stdout.resume()

    def _handle(self, event: Call | Log | Answer) -> None:
        match event:
            case Call():
                if not self._leaving:
                    task = asyncio.get_running_loop().create_task(self._answer(event), name=f"call {event.method}")
                    self._calls.add(task)
                    task.add_done_callback(self._call_ended)
            case Log():
                self._host.log(event.level, event.message, event.fields)
            case Answer():
                self._settle(event)

    async def _answer(self, call: Call) -> None:
        try:
            line = self._peer.respond(call.call_id, await self._host.call(call.method, call.params))
        except StatusError as refusal:
            line = self._peer.refuse(call.call_id, refusal)
        except Exception:  # noqa: BLE001 - a defect of the host must not leak to the handler
            _log.exception("host call failed", extra={"method": call.method})
            line = self._peer.refuse(call.call_id, Internal("the host has no answer; its log says why"))
        self._stdin.write(line)
        # A call counts as in flight until the handler has room for its answer, so unread answers cannot pile up.
        await self._stdin.drained()

    def _call_ended(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        if not task.cancelled() and (problem := task.exception()) is not None:
            _log.error("host call could not be answered", exc_info=problem)
        self._pump()

    def _wire_ended(self) -> None:
        if not self.verdict.done():
            try:
                self._peer.end()
            except WireViolation as violation:
                self._settle(violation)
            else:
                self._settle(None)
        self._check_quiet()

    def _take_stderr(self, data: bytes) -> None:
        self._stderr_bytes += len(data)
        self._tail += data
        if len(self._tail) > 2 * MAX_TAIL_BYTES:
            del self._tail[:-MAX_TAIL_BYTES]
        if self._stderr_bytes > self._max_stderr_bytes:
            self._stderr.pause()
            self._stderr.ended = True
            self._settle(
                WireViolation(
                    FailureReason.OUTPUT_TOO_LARGE,
                    f"the handler printed more than {self._max_stderr_bytes} bytes; print less, or use context.log",
                )
            )
            self._check_quiet()

    def _settle(self, verdict: Verdict) -> None:
        if not self.verdict.done():
            self.verdict.set_result(verdict)

    def _check_quiet(self) -> None:
        if self._stderr.ended and (self._stdout.ended or self.verdict.done()):
            self._quiet.set()

    async def _leave_calls(self) -> None:
        self._leaving = True
        for task in self._calls:
            task.cancel()
        if self._calls:
            await asyncio.wait(self._calls, timeout=LEAVE_CALLS_SECONDS)
