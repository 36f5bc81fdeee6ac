"""API keys: `aspora_<id>_<secret>`, where the id is `name` or `domain.name` of an ApiKey object.

Only the SHA-256 of the whole text is kept; the text is shown once. The secret has 256 random bits, so a plain hash is
enough: there is nothing to guess that a slow hash would protect.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

PREFIX = "aspora"
SECRET_BYTES = 32
RANDOM_NAME_BYTES = 6

_NAME = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_KEY = re.compile(rf"{PREFIX}_(?:({_NAME})\.)?({_NAME})_([0-9a-f]{{{2 * SECRET_BYTES}}})")


@dataclass(frozen=True, slots=True)
class KeyId:
    """Names the ApiKey object of a key: `name`, or `domain.name` for one that lives in a domain."""

    domain: str
    name: str

    def __str__(self) -> str:
        return f"{self.domain}.{self.name}" if self.domain else self.name

    @classmethod
    def read(cls, text: str) -> "KeyId":
        """The same from its text."""
        domain, _, name = text.rpartition(".")
        return cls(domain, name)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made.

    Attributes:
        text: What its owner keeps; never stored, never logged.
        key_hash: What is stored.
    """

    text: str = field(repr=False)
    key_hash: str


def mint_key(key_id: KeyId | None = None, *, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> NewKey:
    """A new key for the ApiKey object of that id; without one, the object shall be cluster-wide with a random name."""
    owner_id = key_id or KeyId("", f"k{random_bytes(RANDOM_NAME_BYTES).hex()}")
    text = f"{PREFIX}_{owner_id}_{random_bytes(SECRET_BYTES).hex()}"
    return NewKey(text, hash_key(text))


def hash_key(text: str) -> str:
    """What is stored of a key: `sha256:` and 64 hex digits."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def parse_key(text: str) -> KeyId | None:
    """Which ApiKey object a key belongs to; None when the text is no key."""
    match = _KEY.fullmatch(text)
    return KeyId(match[1] or "", match[2]) if match else None


def matches(text: str, key_hash: str) -> bool:
    """Whether the key is the one that was hashed, in constant time."""
    return hmac.compare_digest(hash_key(text).encode(), key_hash.encode())
