"""From Role, RoleBinding and ApiKey objects to grants. The one place that reads their fields."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aspora.access.interface import Grant, ObjectReader, Wire

SYSTEM_PREFIX = "system:"
BASIC_GRANTS = (Grant("", frozenset({"get", "list", "watch"}), frozenset({"models"})),)
"""What every caller with a key may do: know which models there are."""


@dataclass(frozen=True, slots=True)
class Authority:
    """What somebody may do, and by which roles."""

    grants: tuple[Grant, ...]
    roles: tuple[str, ...]


def domain_of(obj: Wire) -> str | None:
    """The object's domain; None for the whole cluster."""
    return obj["metadata"].get("domain") or None


def role_grants(role: Wire, *, domain: str | None) -> list[Grant]:
    """What a role gives where it is bound; `domain` None for everywhere."""
    rules: Sequence[Mapping[str, Any]] = role["spec"].get("rules", [])
    return [Grant(domain, frozenset(r["verbs"]), frozenset(r["kinds"]), frozenset(r.get("names") or ())) for r in rules]


async def find_role(reader: ObjectReader, name: str, *, domain: str | None) -> Wire | None:
    """The role that a name means in a domain: the domain's own, else the cluster-wide one."""
    own = await reader.get("Role", name, domain=domain) if domain is not None else None
    return own if own is not None else await reader.get("Role", name)


async def authority_of_roles(reader: ObjectReader, names: Iterable[str], *, domain: str | None) -> Authority:
    """What some roles give in a domain (None: everywhere); a role that is gone gives nothing."""
    grants: list[Grant] = []
    roles: list[str] = []
    for name in names:
        role = await find_role(reader, name, domain=domain)
        if role is not None:
            grants += role_grants(role, domain=domain)
            roles.append(name if domain is None else f"{name}@{domain}")
    return Authority(tuple(grants), tuple(roles))


async def authority_of_subject(reader: ObjectReader, subject: str) -> Authority:
    """What all bindings together give to a person or service."""
    grants: list[Grant] = []
    roles: list[str] = []
    for binding in await reader.list("RoleBinding"):
        if subject in _subjects(binding):
            found = await authority_of_roles(reader, [role_of(binding)], domain=domain_of(binding))
            grants += found.grants
            roles += found.roles
    return Authority(tuple(grants), tuple(roles))


async def authority_of_key(reader: ObjectReader, key: Wire) -> Authority:
    """What an API key gives: its own roles in its own domain, or, when it names none, what its owner may do there."""
    domain = domain_of(key)
    if names := key["spec"].get("roles"):
        return await authority_of_roles(reader, names, domain=domain)
    owned = await authority_of_subject(reader, key["spec"]["owner"])
    if domain is None:
        return owned
    inside = tuple(replace(g, domain=domain) for g in owned.grants if g.domain in {None, domain})
    return Authority(inside, tuple(r for r in owned.roles if "@" not in r or r.endswith(f"@{domain}")))


def role_of(binding: Wire) -> str:
    """The name of the role that a binding gives."""
    return str(binding["spec"]["roleRef"])


def _subjects(binding: Wire) -> set[str]:
    return {str(s) for s in binding["spec"].get("subjects", [])}
