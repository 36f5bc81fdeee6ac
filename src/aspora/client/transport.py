"""How requests travel: the contract of a transport."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

LEADER_HEADER = "aspora-leader"


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        method: Upper case.
        path: From the root, percent-encoded.
        query: Not yet encoded.
        body: JSON; None for none.
        accept: Content type of the answer.
        leader: `NAME/EPOCH` of a leader, whose writes are refused once another leads; empty for others.
        content_type: Of the body.
    """

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes | None = None
    accept: str = "application/json"
    leader: str = ""
    content_type: str = "application/json"

    def headers(self, api_key: str) -> dict[str, str]:
        """The headers, with the key when there is one."""
        headers = {"accept": self.accept}
        if api_key:
            headers["authorization"] = f"Bearer {api_key}"
        if self.leader:
            headers[LEADER_HEADER] = self.leader
        if self.body is not None:
            headers["content-type"] = self.content_type
        return headers


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class StreamedResponse:
    """An answer whose body is still to come, in chunks of any size."""

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


class Transport(Protocol):
    """Carries requests to one gateway, with one API key."""

    @property
    def source(self) -> str:
        """Where the gateway is, for messages."""
        ...

    async def request(self, request: Request, *, timeout_seconds: float) -> Response:
        """Send, and read the whole answer, whatever its status.

        Raises:
            Unavailable: Nobody answers there, or they hung up.
            Timeout: Not done in time; whether the request took effect is not known.
        """
        ...

    def stream(self, request: Request, *, timeout_seconds: float) -> AbstractAsyncContextManager[StreamedResponse]:
        """Send, and give the answer when it begins; leaving the block ends it.

        Args:
            request: What to send.
            timeout_seconds: Until the answer begins.

        Raises:
            Unavailable: As for `request`; the chunks raise it too.
            Timeout: The answer did not begin in time.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
