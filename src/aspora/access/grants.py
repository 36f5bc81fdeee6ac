"""From Role, RoleBinding and ApiKey objects to grants. The one place that reads their fields."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aspora.access.interface import Grant, ObjectReader, Wire

SYSTEM_PREFIX = "system:"
"""Begins the caller name of Aspora's own processes; no person's name may."""

BASIC_GRANTS = (Grant("", frozenset({"get", "list", "watch"}), frozenset({"models"})),)
"""What every caller with a key may do: know which models there are."""


@dataclass(frozen=True, slots=True)
class BoundRole:
    """A role where it is bound.

    Attributes:
        name: The role's.
        domain: None for everywhere.
        grants: What its rules give there.
    """

    name: str
    domain: str | None
    grants: tuple[Grant, ...]

    def __str__(self) -> str:
        return self.name if self.domain is None else f"{self.name}@{self.domain}"


def domain_of(obj: Wire) -> str | None:
    """The object's domain; None for the whole cluster."""
    return obj["metadata"].get("domain") or None


def caller_name(name: str, kind: str) -> str:
    """A subject's or owner's name as callers and records have it."""
    return f"{SYSTEM_PREFIX}{name}" if kind == "system" else name


def owner_of(key: Wire) -> str:
    """Whom a key belongs to, as a caller name."""
    return caller_name(key["spec"]["owner"], key["spec"].get("ownerKind", "user"))


def subjects_of(binding: Wire) -> set[str]:
    """Whom a binding gives its role, as caller names."""
    return {caller_name(s["name"], s.get("kind", "user")) for s in binding["spec"].get("subjects", [])}


def role_grants(role: Wire, *, domain: str | None) -> tuple[Grant, ...]:
    """What a role gives where it is bound; `domain` None for everywhere."""
    rules: Sequence[Mapping[str, Any]] = role["spec"].get("rules", [])
    return tuple(
        Grant(domain, frozenset(r["verbs"]), frozenset(r["kinds"]), frozenset(r.get("names") or ())) for r in rules
    )


async def bound_role(reader: ObjectReader, binding: Wire) -> BoundRole | None:
    """The role that a binding gives, where it gives it; None when there is no such role."""
    domain, ref = domain_of(binding), binding["spec"]["roleRef"]
    home = (domain or "") if ref.get("scope") == "Domain" else ""
    role = await reader.get("Role", ref["name"], domain=home)
    return None if role is None else BoundRole(ref["name"], domain, role_grants(role, domain=domain))


async def roles_of_subject(reader: ObjectReader, subject: str) -> list[BoundRole]:
    """All roles of a person or service."""
    bindings = [b for b in await reader.list("RoleBinding") if subject in subjects_of(b)]
    found = [await bound_role(reader, binding) for binding in bindings]
    return [role for role in found if role is not None]


async def roles_of_key(reader: ObjectReader, key: Wire) -> list[BoundRole]:
    """What a key gives: its owner's roles, narrowed to the key's roles, its domains and the domain it lies in."""
    spec, home = key["spec"], domain_of(key)
    wanted: Sequence[str] = spec.get("roles") or ()
    places: Sequence[str] = spec.get("domains") or ([home] if home is not None else ())
    owned = await roles_of_subject(reader, owner_of(key))
    chosen = [role for role in owned if not wanted or role.name in wanted]
    return [narrowed for role in chosen for narrowed in _narrow(role, places)]


def _narrow(role: BoundRole, places: Sequence[str]) -> Iterable[BoundRole]:
    """The role, only in these places; no places for wherever it is bound."""
    if not places:
        return [role]
    inside = places if role.domain is None else [p for p in places if p == role.domain]
    return [BoundRole(role.name, p, tuple(replace(g, domain=p) for g in role.grants)) for p in inside]
