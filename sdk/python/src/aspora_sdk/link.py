"""Capability calls: from `await context.tools.read(…)` to the host's answer.

A `Call` is sent when it is awaited (or waited for), not when it is made. Without `asyncio` an await simply blocks until
the answer is there: nothing else could run meanwhile. With `asyncio` loaded, the link reads answers from the event
loop, so several calls may be in flight.
"""

from __future__ import annotations

import sys
from _thread import allocate_lock

from aspora_sdk.errors import REASON_BY_CODE, CapabilityError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Awaitable, Generator
    from typing import Any, Protocol

    from aspora_sdk.wire import Wire

    class Link(Protocol):
        """Answers calls: the host's wire in a job, local functions in a test."""

        unsent: dict[int, Call]

        def request(self, method: str, params: dict[str, Any]) -> Any:
            """Ask and block until the answer.

            Raises:
                CapabilityError: The answer is a refusal.
            """
            ...

        def steps(self, method: str, params: dict[str, Any]) -> Generator[Any, Any, Any]:
            """Ask, yielding what an event loop should wait for; return the answer."""
            ...

        def notify(self, method: str, params: dict[str, Any]) -> None:
            """Tell, without an answer."""
            ...

        async def serve(self, awaitable: Awaitable[Any]) -> Any:
            """Await it under a running event loop, answering its calls from that loop."""
            ...


class Call:
    """A call to the host, not sent yet: `await` it in an `async def` handler, `.wait()` for it in a plain `def`.

    It is a coroutine to `asyncio`: `gather`, `create_task` and task groups take it. It can be used once.

    Attributes:
        method: The capability, such as `tools.read`.
    """

    __slots__ = ("_link", "_params", "_steps", "method")

    def __init__(self, link: Link, method: str, params: dict[str, Any]) -> None:
        self.method = method
        self._link = link
        self._params = params
        self._steps: Generator[Any, Any, Any] | None = None
        link.unsent[id(self)] = self

    def wait(self) -> Any:
        """Send the call and block until the host answers.

        Raises:
            CapabilityError: The host refused or failed it.
        """
        self._start()
        return self._link.request(self.method, self._params)

    def _start(self) -> None:
        if self._link.unsent.pop(id(self), None) is None:
            raise RuntimeError(f"the call {self.method!r} was already used; make a new one")

    def __await__(self) -> Generator[Any, Any, Any]:
        self._start()
        return self._link.steps(self.method, self._params)

    def send(self, value: Any) -> Any:
        """Advance as a coroutine does (asyncio calls this)."""
        if self._steps is None:
            self._steps = self.__await__()
        return self._steps.send(value)

    def throw(self, *exception: Any) -> Any:
        """Raise inside the waiting call, as a coroutine does (asyncio cancels by this)."""
        if self._steps is None:
            self._steps = self.__await__()
        return self._steps.throw(*exception)

    def close(self) -> None:
        """Give up the call, as a coroutine does."""
        if self._steps is not None:
            self._steps.close()

    def __repr__(self) -> str:
        return f"<Call {self.method}>"


class HostLink:
    """Calls that go to the host over the wire.

    Args:
        wire: The connection; this link is its only reader once the job has begun.
    """

    def __init__(self, wire: Wire) -> None:
        self.unsent: dict[int, Call] = {}
        self._wire = wire
        self._last_id = 0
        self._turn = allocate_lock()
        self._loop: AbstractEventLoop | None = None
        self._waiting: dict[str, tuple[str, Future[Any]]] = {}

    def request(self, method: str, params: dict[str, Any]) -> Any:
        """Send and block until the host answers; threads take turns."""
        if self._loop is not None:
            raise RuntimeError(f"waiting for {method!r} would block the event loop; await it instead")
        with self._turn:
            call_id = self._send(method, params)
            while (message := self._wire.receive()) is not None:
                if message.get("id") == call_id:
                    return _answer(message, method)
        raise _host_gone(method)

    def steps(self, method: str, params: dict[str, Any]) -> Generator[Any, Any, Any]:
        """Send and wait: on a future under asyncio, else by blocking."""
        if self._loop is None:
            return self.request(method, params)
        if self._wire.closed:
            raise _host_gone(method)
        future: Future[Any] = self._loop.create_future()
        call_id = self._send(method, params)
        self._waiting[call_id] = (method, future)
        try:
            return (yield from future)
        finally:
            self._waiting.pop(call_id, None)

    def notify(self, method: str, params: dict[str, Any]) -> None:
        """Send without waiting for anything."""
        self._wire.send({"jsonrpc": "2.0", "method": method, "params": params})

    async def serve(self, awaitable: Awaitable[Any]) -> Any:
        """Await the handler while the running loop reads the host's answers."""
        loop = sys.modules["asyncio"].get_running_loop()
        loop.add_reader(self._wire.read_fd, self._take_answers)
        self._loop = loop
        try:
            return await awaitable
        finally:
            self._loop = None
            loop.remove_reader(self._wire.read_fd)

    def _send(self, method: str, params: dict[str, Any]) -> str:
        self._last_id += 1
        call_id = f"c{self._last_id}"
        self._wire.send({"jsonrpc": "2.0", "id": call_id, "method": method, "params": params})
        return call_id

    def _take_answers(self) -> None:
        for message in self._wire.receive_ready():
            method, future = self._waiting.pop(str(message.get("id")), ("", None))
            if future is None or future.done():
                continue
            try:
                future.set_result(_answer(message, method))
            except CapabilityError as error:
                future.set_exception(error)
        if self._wire.closed:
            self._fail_all()

    def _fail_all(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._wire.read_fd)
        for method, future in self._waiting.values():
            if not future.done():
                future.set_exception(_host_gone(method))


def _answer(message: dict[str, Any], method: str) -> Any:
    error = message.get("error")
    if error is None:
        return message.get("result")
    data = error.get("data") or {}
    reason = data.get("reason") or REASON_BY_CODE.get(error.get("code"), "Internal")
    raise CapabilityError(reason, str(error.get("message", "")), method=method)


def _host_gone(method: str) -> CapabilityError:
    return CapabilityError("Unavailable", "the host closed the connection before it answered", method=method)
