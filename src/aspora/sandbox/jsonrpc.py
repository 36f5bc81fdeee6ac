"""The host's end of the handler protocol, without I/O: bytes in, events out, caps on everything a handler can send.

JSON-RPC 2.0, one UTF-8 JSON object a line. The peer is pulled: `feed` only stores, `next_event` decodes one message.
A host that stops pulling stops reading, so a handler that asks too much is slowed down rather than buffered.

Source: https://www.jsonrpc.org/specification
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from aspora.meta.errors import Internal, StatusError
from aspora.sandbox.interface import FailureReason, Json

REQUEST_ID = 1
INTERNAL_ERROR = -32603
CODE_BY_REASON: Mapping[str, int] = {
    "MethodNotAllowed": -32601,
    "Internal": INTERNAL_ERROR,
    "Forbidden": -32010,
    "NotFound": -32011,
    "BudgetExceeded": -32012,
    "TooManyRequests": -32013,
    "Timeout": -32014,
    "Unavailable": -32015,
    "Invalid": -32016,
}
LOG_LEVELS = frozenset({"debug", "info", "warning", "error"})


class WireViolation(Exception):
    """The handler broke the protocol or a cap; nothing more it writes counts.

    Attributes:
        reason: `PROTOCOL_ERROR`, `OUTPUT_TOO_LARGE` or `INVALID_RESULT`.
        message: What it did, without quoting what it wrote.
    """

    def __init__(self, reason: FailureReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class WireCaps:
    """How much one handler may send.

    Attributes:
        max_total_bytes: All lines together.
        max_line_bytes: One line.
        max_logs: Log lines that are passed on; one more tells that the rest is dropped.
    """

    max_total_bytes: int
    max_line_bytes: int = 1024 * 1024
    max_logs: int = 10_000


@dataclass(frozen=True, slots=True)
class Call:
    """The handler asks for a capability and waits for `Peer.respond` or `Peer.refuse` with this id."""

    call_id: str
    method: str
    params: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Log:
    """The handler logs a line."""

    level: str
    message: str
    fields: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Answer:
    """The handler's answer to the request; the last event there is. Exactly one of the two is set."""

    result: Json = None
    error: Mapping[str, Json] | None = None


Event: TypeAlias = Call | Log | Answer


class Peer:
    """One handler's connection.

    Attributes:
        answered: Whether the answer was seen; what follows it is dropped.
        received_bytes: All bytes fed before the answer.
    """

    def __init__(self, caps: WireCaps) -> None:
        self.answered = False
        self.received_bytes = 0
        self._caps = caps
        self._buffer = bytearray()
        self._scanned = 0
        self._logs = 0

    def request(
        self, *, entry_point: str, context: Mapping[str, Json], rlimits: Mapping[str, Json] | None = None
    ) -> bytes:
        """The line that starts the job.

        Args:
            rlimits: `[soft, hard]` by the name of a resource limit: what the process puts itself under before it loads
                the handler, where nobody else may do it.

        Raises:
            ValueError: The context is not JSON (NaN, infinity, a cycle).
            TypeError: The context is not JSON (an object of another type).
        """
        params: dict[str, Json] = {"entry_point": entry_point, "context": context}
        if rlimits is not None:
            params["rlimits"] = rlimits
        return _line({"jsonrpc": "2.0", "id": REQUEST_ID, "method": "execute", "params": params})

    def respond(self, call_id: str, result: Json) -> bytes:
        """The line that answers a call; a result that is not JSON becomes an `Internal` refusal."""
        try:
            return _line({"jsonrpc": "2.0", "id": call_id, "result": result})
        except (TypeError, ValueError, RecursionError):
            return self.refuse(
                call_id, Internal("the host's answer can't be sent as JSON; this is a defect of the host")
            )

    def refuse(self, call_id: str, error: StatusError) -> bytes:
        """The line that refuses a call; `data.reason` names the error's class."""
        code = CODE_BY_REASON.get(error.reason, INTERNAL_ERROR)
        body = {"code": code, "message": error.message, "data": {"reason": error.reason}}
        return _line({"jsonrpc": "2.0", "id": call_id, "error": body})

    def feed(self, data: bytes) -> None:
        """Store what was read."""
        if not self.answered:
            self.received_bytes += len(data)
            self._buffer += data

    def next_event(self) -> Event | None:
        """Decode the next message; None when more must be fed first.

        Raises:
            WireViolation: The next message is not acceptable, or a cap is passed.
        """
        while not self.answered and (line := self._next_line()) is not None:
            if line.strip() and (event := self._event(line)) is not None:
                return event
        return None

    def end(self) -> None:
        """Tell that the handler closed its side.

        Raises:
            WireViolation: In the middle of a line.
        """
        if self._buffer.strip() and not self.answered:
            raise WireViolation(
                FailureReason.PROTOCOL_ERROR,
                "the handler's last line on the wire has no end; end each with a newline, as the SDK does",
            )

    def _next_line(self) -> bytes | None:
        end = self._buffer.find(b"\n", self._scanned)
        length = len(self._buffer) if end < 0 else end
        if length > self._caps.max_line_bytes:
            raise WireViolation(
                FailureReason.OUTPUT_TOO_LARGE,
                f"the handler wrote a line of more than {self._caps.max_line_bytes} bytes on the wire;"
                " return less, or store it and return a reference",
            )
        if end < 0:
            self._scanned = length
            self._check_total()
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._scanned = 0
        return line

    def _check_total(self) -> None:
        if self.received_bytes > self._caps.max_total_bytes:
            raise WireViolation(
                FailureReason.OUTPUT_TOO_LARGE,
                f"the handler wrote more than {self._caps.max_total_bytes} bytes on the wire; log and return less",
            )

    def _event(self, line: bytes) -> Event | None:
        message = _decode(line)
        if "method" not in message:
            return self._answer(message, line)
        method, params = message["method"], message.get("params", {})
        if not isinstance(method, str) or not isinstance(params, dict):
            raise _broken("a message whose method is not text or whose params are not an object")
        if not _is_storable(message, line):
            raise _broken("text with NUL or half a surrogate pair")
        if "id" not in message:
            return self._log(cast("dict[str, Any]", params)) if method == "log" else None
        call_id = message["id"]
        if not isinstance(call_id, str) or len(call_id) > 64:
            raise _broken("a call whose id is not text of at most 64 characters")
        return Call(call_id=call_id, method=method, params=cast("dict[str, Any]", params))

    def _answer(self, message: Mapping[str, Any], line: bytes) -> Answer:
        given = message.get("id")
        if isinstance(given, bool) or given != REQUEST_ID:
            raise _broken("an answer whose id is not that of the request")
        error: Any = message.get("error")
        if ("result" in message) == ("error" in message) or ("error" in message and not isinstance(error, dict)):
            raise _broken("an answer that has not exactly one of result and error")
        if not _is_storable(message, line):
            raise WireViolation(
                FailureReason.INVALID_RESULT, "the result holds text with NUL or half a surrogate pair; remove it"
            )
        self.answered = True
        self._buffer.clear()
        return Answer(result=message.get("result"), error=error)

    def _log(self, params: Mapping[str, Any]) -> Log | None:
        self._logs += 1
        if self._logs == self._caps.max_logs + 1:
            return Log("warning", "further log lines are dropped", {"max_logs": self._caps.max_logs})
        if self._logs > self._caps.max_logs:
            return None
        level, fields = params.get("level"), params.get("fields")
        return Log(
            level=level if isinstance(level, str) and level in LOG_LEVELS else "info",
            message=str(params.get("message", "")),
            fields=cast("dict[str, Any]", fields) if isinstance(fields, dict) else {},
        )


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _decode(line: bytes) -> dict[str, Any]:
    try:
        message: Any = json.loads(line.decode(), parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        raise _broken("a line that is not JSON") from None
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise _broken("a line that is not a JSON-RPC 2.0 object")
    return cast("dict[str, Any]", message)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number too large for a double")
    return number


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def _is_storable(message: Mapping[str, Any], line: bytes) -> bool:
    """Whether a database can take all its text. Only an escape can smuggle in what cannot be stored."""
    if b"\\u" not in line:
        return True
    try:
        text = json.dumps(message, ensure_ascii=False)
        text.encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return not (b"\\u0000" in line and _holds_nul(message))


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_holds_nul(key) or _holds_nul(item) for key, item in cast("dict[str, Any]", value).items())
    return isinstance(value, list) and any(_holds_nul(item) for item in cast("list[Any]", value))


def _broken(what: str) -> WireViolation:
    return WireViolation(
        FailureReason.PROTOCOL_ERROR, f"the handler wrote {what} on the wire; leave standard output to the SDK"
    )
