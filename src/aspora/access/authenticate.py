"""From the text of an API key to a caller."""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime

from aspora.access.authorize import is_allowed
from aspora.access.grants import BASIC_GRANTS, SYSTEM_PREFIX, owner_of, roles_of_key, roles_of_subject
from aspora.access.interface import Caller, ObjectReader, Wire
from aspora.access.keys import KeyId, matches, parse_key
from aspora.kit.clock import Clock
from aspora.meta.errors import Forbidden, Unauthorized

CACHE_SIZE = 4096
IMPERSONATE = "impersonate"
USERS = "users"
"""There are no objects of that name: users are those whom bindings and keys name."""
KINDS_READ = ("ApiKey", "Role", "RoleBinding")


class Authenticator:
    """Checks keys against ApiKey objects.

    Args:
        reader: Gives ApiKey, Role and RoleBinding objects.
        clock: For expiry.
        version: A number that changes with any object of `KINDS_READ`; None while that isn't known, which turns the
            cache of callers off.
    """

    def __init__(self, *, reader: ObjectReader, clock: Clock, version: Callable[[], int | None]) -> None:
        self._reader = reader
        self._clock = clock
        self._version = version
        self._cache: OrderedDict[KeyId, Caller] = OrderedDict()
        self._cached_version: int | None = None

    async def __call__(self, text: str) -> Caller:
        """The caller who sends this key.

        Raises:
            Unauthorized: It is not a key, or is unknown, expired or revoked.
            Unavailable: The objects can't be read now.
        """
        key_id = parse_key(text)
        if key_id is None:
            raise Unauthorized("this is not an API key of Aspora; a key looks like aspora_<id>_<secret>")
        key = await self._reader.get("ApiKey", key_id.name, domain=key_id.domain)
        if key is None or not matches(text, str(key["spec"].get("keyHash", ""))):
            raise Unauthorized("the API key is unknown or revoked; ask for a new one")
        expires_at = _expiry(key)
        if expires_at is not None and expires_at <= self._clock.now():
            raise Unauthorized(f"the API key {key_id} expired at {key['spec']['expiresAt']}; ask for a new one")
        return await self._caller(key_id, key, expires_at)

    async def impersonate(self, caller: Caller, name: str) -> Caller:
        """The caller acting as somebody else: with exactly the other's rights, whoever they are.

        A name that nobody has given anything is a user with the rights of every caller.

        Raises:
            Forbidden: The caller lacks the verb `impersonate` on `users`, or the name is one of Aspora's own processes.
            Unavailable: The objects can't be read now.
        """
        if not is_allowed(caller, IMPERSONATE, USERS, None, name):
            raise Forbidden(
                f"{caller.name!r} may not act as somebody else; bind a role with the verb {IMPERSONATE!r} on {USERS!r}"
                " to them cluster-wide"
            )
        if name.startswith(SYSTEM_PREFIX):
            raise Forbidden(f"{name!r} is one of Aspora's own processes; nobody may act as one")
        roles = await roles_of_subject(self._reader, name)
        return Caller(
            name=name,
            kind="user",
            grants=(*(grant for role in roles for grant in role.grants), *BASIC_GRANTS),
            roles=tuple(str(role) for role in roles),
            key=caller.key,
            expires_at=caller.expires_at,
            impersonated_by=caller.name,
        )

    async def _caller(self, key_id: KeyId, key: Wire, expires_at: datetime | None) -> Caller:
        version = self._version()
        if version is None or version != self._cached_version:
            self._cache.clear()
            self._cached_version = version
        caller = self._cache.get(key_id)
        if caller is None:
            caller = await self._resolve(key_id, key, expires_at)
            if version is not None and version == self._version():
                self._cache[key_id] = caller
        else:
            self._cache.move_to_end(key_id)
        while len(self._cache) > CACHE_SIZE:
            self._cache.popitem(last=False)
        return caller

    async def _resolve(self, key_id: KeyId, key: Wire, expires_at: datetime | None) -> Caller:
        roles = await roles_of_key(self._reader, key)
        return Caller(
            name=owner_of(key),
            kind=key["spec"].get("ownerKind", "user"),
            grants=(*(grant for role in roles for grant in role.grants), *BASIC_GRANTS),
            roles=tuple(str(role) for role in roles),
            key=str(key_id),
            expires_at=expires_at,
        )


def _expiry(key: Wire) -> datetime | None:
    text = key["spec"].get("expiresAt")
    return datetime.fromisoformat(text) if text else None
