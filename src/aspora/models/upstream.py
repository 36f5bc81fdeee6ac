"""One HTTP request to an upstream: what came back, or which fault, and whether it may have cost something."""

import email.utils
import errno
import math
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from types import SimpleNamespace
from typing import Any

import aiohttp

from aspora.models.catalog import Endpoint
from aspora.models.wire import ErrorInBody, Malformed, load_json

MAX_ANSWER_BYTES = 8 * 1024 * 1024
MAX_ERROR_BYTES = 16 * 1024
USER_AGENT = "aspora"
CALL_HEADER = "X-Client-Request-Id"
"""Source: OpenAI API reference, debugging requests: an id of the caller's own, kept by the upstream."""


class Then(Enum):
    """What can help after a fault."""

    RETRY = "retry"
    """The same endpoint may answer a little later."""
    FALL_BACK = "fall back"
    """This endpoint will not; another one may."""
    GIVE_UP = "give up"
    """The request itself is at fault."""


class UpstreamFault(Exception):
    """An attempt that brought no answer.

    Attributes:
        outcome: snake_case class of the fault.
        message: For people; without prompt, answer or key.
        then: What can help.
        in_doubt: Whether the upstream may charge for it.
        retry_after_seconds: The upstream's wish, if it named one.
    """

    def __init__(
        self,
        outcome: str,
        message: str,
        *,
        then: Then,
        in_doubt: bool,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.message = message
        self.then = then
        self.in_doubt = in_doubt
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """One attempt to make.

    Attributes:
        endpoint: Where to.
        path: Below the endpoint's base URL.
        body: The JSON body.
        call: Our id of it, which the upstream may keep beside its own.
        timeout_seconds: From now to the last byte.
        sent: `sent.headers` becomes True once the request's headers have left.
    """

    endpoint: Endpoint
    path: str
    body: bytes
    call: str
    timeout_seconds: float
    sent: SimpleNamespace


def mark_sent() -> aiohttp.TraceConfig:
    """A trace that marks a `Sending` as gone out; every session used here carries it."""

    async def on_headers_sent(_session: Any, context: SimpleNamespace, _params: Any) -> None:
        sent: Any = context.trace_request_ctx
        if isinstance(sent, SimpleNamespace):
            sent.headers = True

    config = aiohttp.TraceConfig()
    config.on_request_headers_sent.append(on_headers_sent)
    return config


_STATUS: dict[int, tuple[str, Then]] = {
    400: ("rejected", Then.GIVE_UP),
    401: ("unauthorized", Then.FALL_BACK),
    402: ("payment_required", Then.FALL_BACK),
    403: ("forbidden", Then.FALL_BACK),
    404: ("not_found", Then.FALL_BACK),
    408: ("upstream_timeout", Then.RETRY),
    413: ("rejected", Then.GIVE_UP),
    422: ("rejected", Then.GIVE_UP),
    429: ("rate_limited", Then.RETRY),
}
_MAYBE_CHARGED = frozenset({408, 504, 524})
"""Statuses of a gateway that stopped waiting for a model that may be working still."""


def fault_of_status(status: int, *, detail: str = "", retry_after_seconds: float | None = None) -> UpstreamFault:
    """The fault a status stands for."""
    if status in _STATUS:
        outcome, then = _STATUS[status]
    elif status >= 500:
        outcome, then = "server_error", Then.RETRY
    else:
        outcome, then = "refused", Then.FALL_BACK
    return UpstreamFault(
        outcome,
        f"status {status}" + (f": {detail}" if detail else ""),
        then=then,
        in_doubt=status in _MAYBE_CHARGED,
        retry_after_seconds=retry_after_seconds,
    )


def parse_retry_after(value: str | None, *, now: datetime) -> float | None:
    """`Retry-After` as seconds from now; None when absent or unreadable. Source: RFC 9110, 10.2.3."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = email.utils.parsedate_to_datetime(value)
        except ValueError:
            return None
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        seconds = (aware - now).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def safe_detail(text: str, *, body: bytes, api_key: str | None) -> str:
    """An upstream's error message, shortened, or nothing when it quotes the key or the request.

    A run of 24 characters that is in the request too counts as a quotation.
    """
    line = " ".join(text.split())[:240]
    if api_key and api_key[:8] in line:
        return ""
    sent = " ".join(body.decode(errors="replace").split())
    quotes = any(line[i : i + 24] in sent for i in range(max(0, len(line) - 23)))
    return "" if quotes else line


class Exchange:
    """A request that was answered with 200; its body is still to come. Closed by whoever opened it."""

    def __init__(self, response: aiohttp.ClientResponse, sending: Sending) -> None:
        self._response = response
        self._sending = sending

    @property
    def is_stream(self) -> bool:
        """Whether events come, not one answer."""
        return self._response.content_type == "text/event-stream"

    async def pieces(self) -> AsyncGenerator[bytes]:
        """The body as it arrives.

        Raises:
            UpstreamFault: It breaks off, takes too long or is too long.
        """
        size = 0
        with faults_told(self._sending):
            async for piece in self._response.content.iter_any():
                size += len(piece)
                if size > MAX_ANSWER_BYTES:
                    message = f"the answer is longer than {MAX_ANSWER_BYTES} bytes"
                    raise UpstreamFault("too_large", message, then=Then.FALL_BACK, in_doubt=True)
                yield piece

    async def read(self) -> bytes:
        """The whole body. Errors as for `pieces`."""
        return b"".join([piece async for piece in self.pieces()])

    def close(self) -> None:
        """Leave; what has not been read is not waited for, and the upstream sees the connection go."""
        self._response.close()


@contextmanager
def faults_told(sending: Sending) -> Generator[None]:
    """Turn whatever goes wrong inside into an `UpstreamFault`."""
    try:
        yield
    except ErrorInBody as e:
        fault = fault_of_status(e.status, detail=_detail(sending, e.text))
        in_doubt = fault.in_doubt or e.after_output
        raise UpstreamFault(fault.outcome, fault.message, then=fault.then, in_doubt=in_doubt) from None
    except Malformed as e:
        raise UpstreamFault("malformed", str(e), then=Then.RETRY, in_doubt=True) from None
    except TimeoutError:
        message = f"no whole answer within {sending.timeout_seconds:.1f} s"
        raise UpstreamFault("timeout", message, then=Then.FALL_BACK, in_doubt=bool(sending.sent.headers)) from None
    except (aiohttp.ClientError, OSError, UnicodeError) as e:
        outcome = "disconnected" if sending.sent.headers else "unreachable"
        message = f"{sending.endpoint.base_url} {_broken(e)}"
        raise UpstreamFault(outcome, message, then=Then.RETRY, in_doubt=bool(sending.sent.headers)) from None


async def open_exchange(session: aiohttp.ClientSession, sending: Sending, *, now: Callable[[], datetime]) -> Exchange:
    """Send the request and wait for the answer's headers.

    Raises:
        UpstreamFault: No answer came, or none with 200.
    """
    endpoint = sending.endpoint
    connect_seconds = min(endpoint.provider.connect_timeout_seconds, sending.timeout_seconds)
    with faults_told(sending):
        response = await session.post(
            f"{endpoint.base_url}{sending.path}",
            data=sending.body,
            headers={**headers_of(endpoint), CALL_HEADER: sending.call},
            timeout=aiohttp.ClientTimeout(
                total=sending.timeout_seconds, sock_connect=connect_seconds, ceil_threshold=math.inf
            ),
            allow_redirects=False,
            trace_request_ctx=sending.sent,
        )
        if response.status == 200:
            return Exchange(response, sending)
        async with response:
            raise await _refusal(response, sending, now=now)


def _broken(error: Exception) -> str:
    """What happened to the connection, as what its URL did."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "has an unknown host"
        case aiohttp.ClientConnectorCertificateError():
            return "shows a certificate that is not trusted here"
        case aiohttp.ClientSSLError():
            return "does not speak TLS as expected"
        case aiohttp.ClientConnectorError(os_error=OSError(errno=errno.ECONNREFUSED)):
            return "refuses the connection"
        case aiohttp.ClientConnectorError():
            return "can't be reached"
        case aiohttp.InvalidURL() | UnicodeError():
            return "is not a URL that can be called"
        case _:
            return "broke off the connection"


def headers_of(endpoint: Endpoint) -> dict[str, str]:
    """What each request to an endpoint carries, its key included."""
    headers = {**endpoint.provider.headers, "Content-Type": "application/json", "User-Agent": USER_AGENT}
    if endpoint.api_key is not None:
        name = endpoint.provider.api_key_header
        headers[name] = f"Bearer {endpoint.api_key}" if name.lower() == "authorization" else endpoint.api_key
    return headers


async def _refusal(response: aiohttp.ClientResponse, sending: Sending, *, now: Callable[[], datetime]) -> UpstreamFault:
    raw = await response.content.read(MAX_ERROR_BYTES)
    retry_after = parse_retry_after(response.headers.get("Retry-After"), now=now())
    return fault_of_status(response.status, detail=_detail(sending, _error_text(raw)), retry_after_seconds=retry_after)


def _detail(sending: Sending, text: str) -> str:
    return safe_detail(text, body=sending.body, api_key=sending.endpoint.api_key)


def _error_text(raw: bytes) -> str:
    """The message inside an error body of OpenAI's shape; nothing from any other body."""
    try:
        body = load_json(raw)
        message = body["error"]["message"]
    except (Malformed, KeyError, TypeError):
        return ""
    return message if isinstance(message, str) else ""
