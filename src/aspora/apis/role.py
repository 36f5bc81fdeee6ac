"""Role: a named set of rules: which verbs are allowed on which kinds. A cluster-wide one can be bound anywhere."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import Field

from aspora.apis.kind import OBJECT_VERBS, Column, Kind, Scope, Section, Wire
from aspora.meta.errors import FieldError
from aspora.meta.names import did_you_mean
from aspora.meta.objects import ApiModel, Object, ObjectStatus

VERBS = OBJECT_VERBS | {"cancel", "impersonate"}
ANY = "*"
_KIND = re.compile(r"(?:\*|[a-z][a-z0-9]*)(?:/status)?")


class Rule(ApiModel):
    """Some verbs on some kinds."""

    verbs: list[str] = Field(min_length=1, max_length=20)
    """`get list watch create update patch delete`, `cancel` executions, `impersonate` users; or `*` for all."""
    kinds: list[str] = Field(min_length=1, max_length=100)
    """Plurals such as `skills`, `executions` or `skills/status`; `*` for all but the statuses, `*/status` for those."""
    names: list[str] = Field(default_factory=list[str], max_length=1000)
    """Only the objects of these names; empty for all."""


class RoleSpec(ApiModel):
    """What someone in this role may do, where it is bound to them."""

    description: str = Field(default="", max_length=1_000)
    """For people: whom the role is for."""
    rules: list[Rule] = Field(default_factory=list[Rule], max_length=100)
    """All that is allowed; what no rule names is refused."""


def validate(role: Object[RoleSpec, ObjectStatus]) -> list[FieldError]:
    """Known verbs, and kinds that are plurals. A kind need not exist: it may come with a package later."""
    return [e for i, rule in enumerate(role.spec.rules) for e in _check_rule(rule, f"spec.rules[{i}]")]


def _check_rule(rule: Rule, path: str) -> Iterator[FieldError]:
    for j, verb in enumerate(rule.verbs):
        if verb != ANY and verb not in VERBS:
            yield FieldError(f"{path}.verbs[{j}]", f"unknown verb {verb!r}{did_you_mean(verb, VERBS)}")
    for j, kind in enumerate(rule.kinds):
        if not _KIND.fullmatch(kind):
            yield FieldError(
                f"{path}.kinds[{j}]",
                f"{kind!r} is not a plural; write it like 'skills' or 'skills/status', or '*' for all",
            )


def _rules_text(obj: Wire) -> str:
    return str(len(obj["spec"].get("rules", [])))


def describe(obj: Wire) -> list[Section]:
    """The table of rules: kinds on the left, verbs on the right."""
    rules: Sequence[dict[str, Any]] = obj["spec"].get("rules", [])
    rows = tuple((", ".join(r["kinds"]), _verbs_text(r)) for r in rules)
    about = (("Description", str(obj["spec"].get("description") or "not stated")),)
    return [Section("Role", about), Section("Rules", rows)]


def _verbs_text(rule: dict[str, Any]) -> str:
    names: Sequence[str] = rule.get("names", [])
    return ", ".join(rule["verbs"]) + (f" on {', '.join(names)}" if names else "")


KIND = Kind(
    kind="Role",
    plural="roles",
    scope=Scope.EITHER,
    spec=RoleSpec,
    validate=validate,
    columns=(Column("RULES", _rules_text), Column("DESCRIPTION", "spec.description", wide=True)),
    describe=describe,
)
