"""What the executor needs from outside: revisions, artifacts, blobs, a book of model calls, connectors."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from aspora.records.rows import Claim, ModelCall

Wire = Mapping[str, Any]


class RevisionSource(Protocol):
    """Where revisions come from."""

    async def load(self, domain: str, name: str) -> Wire:
        """The Revision's wire form.

        Raises:
            NotFound: No such revision.
            Unavailable: It can't be read now.
        """
        ...


class ArtifactSource(Protocol):
    """Where a skill's files come from."""

    def lease(self, digest: str) -> AbstractAsyncContextManager[Path]:
        """A read-only folder with the artifact's files, checked against the digest, for as long as the block runs.

        Raises:
            StatusError: On entering: it is missing, damaged, or can't be read now.
        """
        ...


class Blobs(Protocol):
    """Where values live that are too large for a row."""

    async def put(self, data: bytes) -> str:
        """Keep the bytes; the digest they are found by."""
        ...

    async def get(self, digest: str) -> bytes:
        """The bytes, checked against the digest.

        Raises:
            StatusError: They are missing, damaged, or can't be read now.
        """
        ...


class ModelCallBook(Protocol):
    """Where model calls are kept."""

    async def record_model_call(self, claim: Claim, call: ModelCall) -> None:
        """Keep one model call and add it to the execution's totals.

        Raises:
            Unavailable: It can't be kept now.
            Timeout: Nobody knows whether it was kept.
        """
        ...


class Superseded(Exception):
    """Another attempt owns the execution by now, or may take it: this one's word counts no more."""


class OutcomeInDoubt(Exception):
    """A connector's request may have gone out, and nobody knows whether it took effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationTraits:
    """What a connector declares of one operation. What it does not know it leaves at the safe side.

    Attributes:
        is_write: It may change something. False only where that is declared: GET, HEAD, a tool's approved hint.
        takes_idempotency_key: The other side does a request that comes again with the same key only once.
    """

    is_write: bool = True
    takes_idempotency_key: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorCall:
    """One call of one operation.

    Attributes:
        arguments: By name; a JSON object.
        domain: The calling skill's domain.
        idempotency_key: 64 hex digits, the same on every repetition of this call and on no other; None when the
            operation takes none.
    """

    connector: str
    operation: str
    arguments: Mapping[str, Any]
    domain: str
    skill: str
    idempotency_key: str | None


class Connector(Protocol):
    """A thing that skills may call. Other packages add theirs by an entry point in `aspora.connectors`: a class that is
    made without arguments, once a process, at its first call."""

    def traits(self, operation: str) -> OperationTraits:
        """What is known of an operation; quick and without I/O.

        Raises:
            MethodNotAllowed: There is no such operation; the message lists those there are.
        """
        ...

    async def call(self, call: ConnectorCall) -> Any:
        """Make the call, once. It is cancelled when the handler ends first.

        Returns:
            The JSON result.

        Raises:
            StatusError: The other side has surely done nothing (more): it refused, or was never reached. The handler
                sees reason and message, and sees the same again on a rerun.
            OutcomeInDoubt: It may or may not have done it. Any other exception counts as this.
        """
        ...

    async def close(self) -> None:
        """Give back what it holds."""
        ...


class ConnectorCaller(Protocol):
    """Where connectors are called."""

    async def traits(self, connector: str, operation: str) -> OperationTraits:
        """What is known of a connector's operation.

        Raises:
            NotFound: There is no such connector; the message lists those there are.
            MethodNotAllowed: It has no such operation.
        """
        ...

    async def call(self, call: ConnectorCall) -> Any:
        """Make the call; see `Connector.call`."""
        ...
