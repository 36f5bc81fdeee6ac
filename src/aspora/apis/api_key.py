"""ApiKey: a credential of its owner. Only the key's hash is stored, and no answer ever shows it."""

from typing import Any, Literal

from pydantic import Field

from aspora.apis.kind import Column, Kind, Scope, Section, Wire
from aspora.meta.errors import FieldError
from aspora.meta.objects import ApiModel, Object, ObjectStatus, Timestamp


class KeyBudget(ApiModel):
    """A cap on what is spent on models with the key."""

    window: Literal["hour", "day", "month"]
    """For how long it holds, in UTC."""
    cap_micro_usd: int = Field(ge=0, le=10**15)
    """The most that may be spent in one window."""


class ApiKeySpec(ApiModel):
    """Whose key it is, how far it reaches and until when.

    A key never gives more than its owner's role bindings do; `roles` and `domains` narrow it.
    """

    owner: str = Field(min_length=1, max_length=255)
    """The caller's name, as role bindings and records have it."""
    owner_kind: Literal["user", "system"] = "user"
    """`system` for Aspora's own processes."""
    roles: list[str] = Field(default_factory=list[str], max_length=100)
    """Only these of the owner's roles; empty for all of them."""
    domains: list[str] = Field(default_factory=list[str], max_length=1000)
    """Only in these domains; empty for wherever the owner's roles are bound."""
    skill: str | None = Field(default=None, min_length=1, max_length=63)
    """The skill that model calls with this key are made for; needs a key that lies in the skill's domain."""
    models: list[str] = Field(default_factory=list[str], max_length=100)
    """Models that may be called with it; empty for all."""
    budgets: list[KeyBudget] = Field(default_factory=list[KeyBudget], max_length=10)
    """Caps on what model calls with it cost."""
    requests_per_minute: int | None = Field(default=None, ge=1, le=10**9)
    """Model calls with it."""
    tokens_per_minute: int | None = Field(default=None, ge=1, le=10**12)
    """Tokens of model calls with it, input and output, counted at the most that a call may need until it is over."""
    expires_at: Timestamp | None = None
    """From this instant on the key is refused; absent: it does not expire."""
    key_hash: str = Field(default="", pattern=r"^(sha256:[0-9a-f]{64})?$")
    """Set by the server when it makes the key; never shown."""
    description: str = Field(default="", max_length=1_000)
    """For people: what the key is used for."""


def validate(key: Object[ApiKeySpec, ObjectStatus]) -> list[FieldError]:
    """A key that lies in a domain reaches no other, and an instant needs its time zone."""
    errors: list[FieldError] = []
    spec, home = key.spec, key.metadata.domain
    if home is not None and any(domain != home for domain in spec.domains):
        errors.append(
            FieldError(
                "spec.domains",
                f"a key that lies in {home!r} reaches no other domain; leave domains out, or make a cluster-wide key",
            )
        )
    if spec.expires_at is not None and spec.expires_at.tzinfo is None:
        errors.append(FieldError("spec.expiresAt", "needs a time zone; write it like 2027-01-31T00:00:00Z"))
    return errors


def validate_update(old: Object[ApiKeySpec, ObjectStatus], new: Object[ApiKeySpec, ObjectStatus]) -> list[FieldError]:
    """A key keeps its owner and its secret."""
    return [
        FieldError(f"spec.{wire}", "can't be changed; make a new key and delete this one", "Immutable")
        for name, wire in (("owner", "owner"), ("owner_kind", "ownerKind"), ("key_hash", "keyHash"))
        if getattr(old.spec, name) != getattr(new.spec, name)
    ]


def _narrowed(obj: Wire, field: str) -> str:
    return ", ".join(obj["spec"].get(field, [])) or "all"


def describe(obj: Wire) -> list[Section]:
    """The owner and the limits; never the key."""
    spec: dict[str, Any] = obj["spec"]
    rows = (
        ("Owner", f"{spec.get('ownerKind', 'user')}:{spec['owner']}"),
        ("Roles", _narrowed(obj, "roles")),
        ("Domains", _narrowed(obj, "domains")),
        ("Expires", str(spec.get("expiresAt") or "never")),
        ("Description", str(spec.get("description") or "not stated")),
    )
    return [Section("Key", rows)]


KIND = Kind(
    kind="ApiKey",
    plural="apikeys",
    scope=Scope.EITHER,
    spec=ApiKeySpec,
    short_names=("key",),
    validate=validate,
    validate_update=validate_update,
    hidden=("spec.keyHash",),
    columns=(
        Column("OWNER", "spec.owner"),
        Column("ROLES", lambda o: _narrowed(o, "roles")),
        Column("DOMAINS", lambda o: _narrowed(o, "domains")),
        Column("EXPIRES", lambda o: str(o["spec"].get("expiresAt") or "never")),
    ),
    describe=describe,
)
