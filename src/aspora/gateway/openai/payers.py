"""From a caller's key to who pays for a model call, and to what may be called with it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from aspora.access.authorize import authorize, no_such_domain
from aspora.access.interface import Caller, ObjectReader
from aspora.access.keys import KeyId
from aspora.apis.api_key import ApiKeySpec
from aspora.apis.domain import DomainSpec
from aspora.apis.skill import SkillSpec
from aspora.meta.errors import BadRequest, Forbidden
from aspora.models.interface import Charge
from aspora.models.limits import Payer, PlatformLimits, charge_of

PLURAL: Final = "calls"
KINDS: Final = ("ApiKey", "Domain", "Skill")
_MOST_KNOWN: Final = 4096
DOMAIN_HEADER: Final = "x-aspora-domain"


@dataclass(frozen=True, slots=True)
class Paying:
    """Who pays, and what they may call.

    Attributes:
        key: The key's id.
        allowed: Models that may be called with it; empty for all.
        skill_models: Those that the key's skill names.
    """

    key: str
    charge: Charge
    allowed: tuple[str, ...]
    skill_models: tuple[str, ...]

    def require_allowed(self, models: Sequence[str]) -> None:
        """See that the key may call all of these.

        Raises:
            Forbidden: It may not.
        """
        for model in models:
            if self.allowed and model not in self.allowed:
                raise Forbidden(
                    f"key {self.key!r} may not call model {model!r}; it may call: {', '.join(self.allowed)}"
                )


class Payers:
    """Says who pays.

    Args:
        reader: Gives keys, domains and skills.
        platform: Limits of all domains together.
        version: A number that changes with any object of `KINDS`; None while that isn't known.
    """

    def __init__(
        self, reader: ObjectReader, *, platform: PlatformLimits, version: Callable[[], int | None] = lambda: None
    ) -> None:
        self._reader = reader
        self._platform = platform
        self._version = version
        self._known: dict[tuple[str, str, str], Paying] = {}
        self._known_version: int | None = None

    async def paying(self, caller: Caller, *, domain: str) -> Paying:
        """Who pays for a call.

        Args:
            caller: Who asks.
            domain: The one they name; "": the key's own.

        Raises:
            BadRequest: The key reaches several domains and none is named.
            Forbidden: The caller may not call models there.
            NotFound: No such domain, or none they may see.
        """
        version = self._version()
        if version is None or version != self._known_version or len(self._known) > _MOST_KNOWN:
            self._known.clear()
            self._known_version = version
        place = (caller.key, caller.name, domain)
        paying = self._known.get(place)
        if paying is None:
            paying = await self._find(caller, domain)
            if version is not None and version == self._version():
                self._known[place] = paying
        authorize(caller, "create", PLURAL, paying.charge.attribution.domain or None)
        return paying

    async def _find(self, caller: Caller, domain: str) -> Paying:
        key = await self._key(caller)
        home = _domain_of(caller, key, domain)
        authorize(caller, "create", PLURAL, home or None)
        found = await self._reader.get("Domain", home) if home else None
        if home and found is None:
            raise no_such_domain(home)
        name = (key.skill or "") if key is not None else ""
        skill = await self._reader.get("Skill", name, domain=home) if name else None
        spec = SkillSpec.model_validate(skill["spec"]) if skill is not None else None
        charge = charge_of(
            Payer(domain=home, skill=name, user=caller.name, trigger="api", key=_key_name(caller.key)),
            platform=self._platform,
            domain=None if found is None else DomainSpec.model_validate(found["spec"]),
            budget=None if spec is None else spec.model.cost_budget,
            key=key,
            role="" if spec is None else spec.role,
        )
        named = () if spec is None or not spec.model.primary else (spec.model.primary, spec.model.fallback)
        return Paying(caller.key, charge, tuple(key.models) if key is not None else (), named)

    async def allowed_models(self, caller: Caller) -> list[str]:
        """The models that may be called with the caller's key; empty for all."""
        key = await self._key(caller)
        return list(key.models) if key is not None else []

    async def _key(self, caller: Caller) -> ApiKeySpec | None:
        key_id = KeyId.read(caller.key) if caller.key else None
        if key_id is None:
            return None
        found = await self._reader.get("ApiKey", key_id.name, domain=key_id.domain)
        return None if found is None else ApiKeySpec.model_validate(found["spec"])


def _key_name(key: str) -> str:
    """As budgets have it: `name@domain`, or the name of a cluster-wide one; "" for none."""
    key_id = KeyId.read(key)
    return f"{key_id.name}@{key_id.domain}" if key_id.domain else key_id.name


def _domain_of(caller: Caller, key: ApiKeySpec | None, named: str) -> str:
    """The domain that pays: the key's, or the one that is named among several; "" for none.

    Raises:
        BadRequest: The key reaches several and none is named.
        Forbidden: The key does not reach the one that is named.
    """
    home = KeyId.read(caller.key).domain if caller.key else ""
    reached = [home] if home else list(key.domains) if key is not None else []
    if named:
        if reached and named not in reached:
            raise Forbidden(
                f"key {caller.key!r} does not reach domain {named!r}; use another, or name one of: {', '.join(reached)}"
            )
        return named
    if len(reached) > 1:
        raise BadRequest(
            f"key {caller.key!r} reaches several domains; name the one that pays in the header {DOMAIN_HEADER}"
        )
    return reached[0] if reached else ""
