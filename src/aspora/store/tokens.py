"""Continue tokens and resource versions: opaque outside, checked when they come back."""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass

from aspora.meta.errors import BadRequest

_FORMAT = 1
_CHECKSUM_BYTES = 6
_MAX_VERSION_DIGITS = 18


@dataclass(frozen=True, slots=True)
class PageStart:
    """Where the next page begins.

    Attributes:
        version: History's place in the first page's snapshot.
        domain: Of the last object sent.
        name: Of the last object sent.
    """

    version: int
    domain: str
    name: str


def encode_token(start: PageStart, *, query: str) -> str:
    """The token for the page after `start`, good for the same query alone."""
    body = json.dumps([_FORMAT, query, start.version, start.domain, start.name], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_checksum(body) + body).rstrip(b"=").decode()


def decode_token(token: str, *, query: str) -> PageStart:
    """What a token says.

    Raises:
        BadRequest: Not one of ours, damaged, of an older format, or of another query.
    """
    try:
        raw = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise _bad_token() from None
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != token:
        raise _bad_token()  # Spelled otherwise: decoders also take the other alphabet, and bits that encode nothing.
    body = raw[_CHECKSUM_BYTES:]
    if raw[:_CHECKSUM_BYTES] != _checksum(body):
        raise _bad_token()
    form, own_query, version, domain, name = json.loads(body)
    if form != _FORMAT:
        raise _bad_token()
    if own_query != query:
        raise BadRequest("the continue token belongs to another query; list again from the start")
    return PageStart(version, domain, name)


def parse_version(text: str) -> int:
    """A resource version's number, as only the store may see it.

    Raises:
        BadRequest: Not a version that a store ever gave out.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_VERSION_DIGITS):
        raise BadRequest(f"resource version {text[:40]!r} is not one; take it from a list or an object")
    return int(text)


def _checksum(body: bytes) -> bytes:
    """Guards against damage and guesses; a token opens nothing that its bearer could not list anyway."""
    return hashlib.sha256(b"aspora continue token" + body).digest()[:_CHECKSUM_BYTES]


def _bad_token() -> BadRequest:
    return BadRequest("the continue token can't be read; list again from the start")
