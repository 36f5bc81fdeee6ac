"""Envelope encryption: the values of a secret under a data key of its own, that key wrapped by the installation's.

Source: AES-256-GCM (NIST SP 800-38D) and AES key wrap (RFC 3394).
"""

import base64
import binascii
import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from aspora.meta.errors import Invalid

KEY_BYTES = 32
_NONCE_BYTES = 12
_FORMAT = "v1"
_PARTS = 5


class SealBroken(Invalid):
    """What is sealed can't be opened with this key, or was sealed for another place."""


@dataclass(frozen=True, slots=True)
class SecretKey:
    """The installation's key.

    Attributes:
        key_id: Names it in whatever it has sealed; tells nothing about it.
        secret: Its 32 bytes.
    """

    key_id: str
    secret: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """As its file has it: 64 hex digits."""
        return self.secret.hex()


def new_key(*, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> SecretKey:
    """A key that nobody had before."""
    return key_of(random_bytes(KEY_BYTES))


def key_of(secret: bytes) -> SecretKey:
    """The key of some bytes."""
    return SecretKey("k" + hashlib.sha256(b"aspora secret key id\0" + secret).hexdigest()[:16], secret)


def parse_secret_key(text: str) -> SecretKey:
    """The key as its file or variable has it.

    Raises:
        Invalid: Not 64 hex digits; the message does not repeat it.
    """
    try:
        secret = bytes.fromhex(text.strip())
    except ValueError:
        secret = b""
    if len(secret) != KEY_BYTES:
        raise Invalid(f"the secret key is not {2 * KEY_BYTES} hex digits; put the right one back")
    return key_of(secret)


def seal(
    key: SecretKey,
    values: Mapping[str, str],
    *,
    place: str,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> str:
    """The values as one text `v1.<key id>.<wrapped data key>.<nonce>.<ciphertext>`.

    Args:
        place: What it is sealed for, e.g. `Secret/wealth/crm`: nobody can move it elsewhere unseen.
    """
    data_key, nonce = random_bytes(KEY_BYTES), random_bytes(_NONCE_BYTES)
    plain = json.dumps(dict(values), sort_keys=True, ensure_ascii=False).encode()
    sealed = AESGCM(data_key).encrypt(nonce, plain, place.encode())
    wrapped = aes_key_wrap(key.secret, data_key)
    return ".".join(
        [_FORMAT, key.key_id, *(base64.urlsafe_b64encode(part).decode() for part in (wrapped, nonce, sealed))]
    )


def sealed_with(text: str) -> str:
    """Id of the key that something is sealed with.

    Raises:
        SealBroken: It is nothing that `seal` made.
    """
    parts = text.split(".")
    if len(parts) != _PARTS or parts[0] != _FORMAT:
        raise SealBroken("the sealed values are in no form that this Aspora knows; set the secret anew")
    return parts[1]


def unseal(key: SecretKey, text: str, *, place: str) -> dict[str, str]:
    """The values.

    Raises:
        SealBroken: Sealed with another key or for another place, or damaged.
    """
    other = sealed_with(text)
    if other != key.key_id:
        raise SealBroken(
            f"the values are sealed with key {other!r}, and the key here is {key.key_id!r}; put that one back"
        )
    try:
        wrapped, nonce, sealed = (base64.urlsafe_b64decode(part) for part in text.split(".")[2:])
        data_key = aes_key_unwrap(key.secret, wrapped)
        values: dict[str, str] = json.loads(AESGCM(data_key).decrypt(nonce, sealed, place.encode()))
    except (InvalidTag, InvalidUnwrap, binascii.Error, ValueError):
        raise SealBroken("the sealed values are damaged or were made for another object; set the secret anew") from None
    return values
