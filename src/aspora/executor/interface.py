"""What the executor needs from outside: revisions, artifacts, blobs, a book of model calls."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
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
    """Another attempt owns the execution by now."""
