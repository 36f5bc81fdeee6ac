"""The contract of an artifact store, and what a digest is."""

import hashlib
import re
from typing import Protocol

from aspora.meta.errors import Invalid

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


class ArtifactDamaged(Invalid):
    """Stored bytes are not those that the digest names."""


def digest_of(data: bytes) -> str:
    """`sha256:` and 64 hex digits."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def hex_of(digest: str) -> str:
    """The 64 hex digits of a digest.

    Raises:
        Invalid: It is not a digest.
    """
    match = _DIGEST.fullmatch(digest)
    if match is None:
        raise Invalid(f"{digest[:80]!r} is not a digest; write it like sha256: and 64 hex digits")
    return match[1]


class ArtifactStore(Protocol):
    """Keeps bytes under their SHA-256."""

    async def put(self, data: bytes) -> str:
        """Keep the bytes; putting the same ones again changes nothing, and heals a damaged copy.

        Returns:
            Their digest. Once it is returned, they survive a crash (as far as the store can promise).

        Raises:
            Unavailable: The store is full, unreachable or not writable.
        """
        ...

    async def get(self, digest: str) -> bytes:
        """The bytes.

        Raises:
            NotFound: Nothing is kept under that digest.
            ArtifactDamaged: What is kept does not have that digest.
            Invalid: `digest` is not one.
            Unavailable: The store can't be read now.
        """
        ...

    async def exists(self, digest: str) -> bool:
        """Whether something is kept under that digest, without reading it.

        Raises:
            Invalid: `digest` is not one.
            Unavailable: The store can't be read now.
        """
        ...


class BlobCache(Protocol):
    """A tier before an artifact store. It may forget, be away, or hold wrong bytes: whoever asks checks the digest."""

    async def get(self, digest: str) -> bytes | None:
        """What it holds under that digest, unchecked; None when it holds nothing or can't be asked in a moment."""
        ...

    async def put(self, digest: str, data: bytes) -> None:
        """Offer bytes, in place of what it holds; it may decline, and says nothing of a failure."""
        ...

    async def close(self) -> None:
        """Let go of connections; what was put stays where others share it."""
        ...
