"""Who the caller is, and the question what they may do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aspora.access.interface import Caller, Grant
from aspora.meta.errors import API_VERSION, FieldError, Invalid
from aspora.meta.objects import rfc3339


@dataclass(frozen=True, slots=True)
class Question:
    """May I do this?"""

    verb: str
    plural: str
    domain: str | None
    name: str | None


def who_am_i(caller: Caller) -> Mapping[str, Any]:
    """The caller as Aspora sees them."""
    body: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": "WhoAmI",
        "name": caller.name,
        "type": caller.kind,
        "key": caller.key,
        "roles": list(caller.roles),
        "grants": [_grant_body(g) for g in caller.grants],
    }
    if caller.impersonated_by:
        body["impersonatedBy"] = caller.impersonated_by
    if caller.expires_at is not None:
        body["expiresAt"] = rfc3339(caller.expires_at)
    return body


def _grant_body(grant: Grant) -> dict[str, Any]:
    where = "*" if grant.domain is None else grant.domain
    body: dict[str, Any] = {"domain": where, "verbs": sorted(grant.verbs), "kinds": sorted(grant.kinds)}
    return {**body, "names": sorted(grant.names)} if grant.names else body


def can_i_body(body: Mapping[str, Any]) -> Question:
    """The question in a request's body.

    Raises:
        Invalid: With every field that is wrong.
    """
    errors = [
        FieldError(k, "is not known; known: verb, resource, domain, name", "UnknownField")
        for k in body
        if k not in _KNOWN
    ]
    for key in _KNOWN & set(body):
        if not isinstance(body[key], str):
            errors.append(FieldError(key, "must be a string"))
    errors += [FieldError(key, "is required", "Required") for key in ("verb", "resource") if not body.get(key)]
    if errors:
        raise Invalid(f"the question can't be read: {'; '.join(map(str, errors[:3]))}", details=errors)
    return Question(body["verb"], body["resource"], body.get("domain"), body.get("name"))


_KNOWN = frozenset({"verb", "resource", "domain", "name"})
