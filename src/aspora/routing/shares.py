"""Which revision serves a request: by the Route's shares, and the same one for the same user."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aspora.apis.route import FULL_SHARE_BP

_HASH_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Share:
    """A revision and its part of the traffic in basis points."""

    revision: str
    share_bp: int


def bucket_of(*, domain: str, route: str, user: str) -> int:
    """The user's place among the 10 000 basis points of a route: the same each time, and evenly spread over users.

    It depends on the route, so that a user who is early in one rollout is not early in all of them.
    """
    text = "\x00".join((domain, route, user)).encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(text, digest_size=_HASH_BYTES).digest()
    return int.from_bytes(digest, "big") * FULL_SHARE_BP >> (8 * _HASH_BYTES)


def pick(shares: Sequence[Share], bucket: int) -> str | None:
    """The revision in whose share the bucket lies; None when the shares leave it to nobody.

    Shares lie one after another in the order of the revisions' names, so that the order in a manifest does not matter.
    Of two revisions, the one whose share grows keeps all the users it has.
    """
    upper = 0
    for share in sorted(shares, key=lambda s: s.revision):
        upper += share.share_bp
        if bucket < upper:
            return share.revision
    return None
