"""RoleBinding: gives a role to people and services, in its own domain, or everywhere when it is cluster-wide."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from aspora.apis.kind import Column, Kind, Scope, Section, Wire
from aspora.meta.errors import FieldError
from aspora.meta.objects import ApiModel, Object, ObjectStatus


class Subject(ApiModel):
    """Someone who gets the role."""

    kind: Literal["user", "system"] = "user"
    """`system` for Aspora's own processes."""
    name: str = Field(min_length=1, max_length=255)
    """The owner named by an ApiKey."""


class RoleRef(ApiModel):
    """The role that is given."""

    name: str = Field(min_length=1, max_length=63)
    """Name of a Role."""
    scope: Literal["Cluster", "Domain"] = "Cluster"
    """Whether the Role is cluster-wide or lies in the binding's domain."""


class RoleBindingSpec(ApiModel):
    """Who gets which role."""

    subjects: list[Subject] = Field(default_factory=list[Subject], max_length=1000)
    """Who gets it."""
    role_ref: RoleRef
    """What they get; it cannot be changed, make another binding instead."""


def validate(binding: Object[RoleBindingSpec, ObjectStatus]) -> list[FieldError]:
    """A cluster-wide binding cannot name a domain's role; nobody appears twice."""
    errors: list[FieldError] = []
    if binding.metadata.domain is None and binding.spec.role_ref.scope == "Domain":
        errors.append(
            FieldError("spec.roleRef.scope", "a cluster-wide binding needs a cluster-wide role; write 'Cluster'")
        )
    seen: set[Subject] = set()
    for i, subject in enumerate(binding.spec.subjects):
        if subject in seen:
            errors.append(FieldError(f"spec.subjects[{i}]", f"{subject.name!r} appears twice; keep one", "Duplicate"))
        seen.add(subject)
    return errors


def validate_update(
    old: Object[RoleBindingSpec, ObjectStatus], new: Object[RoleBindingSpec, ObjectStatus]
) -> list[FieldError]:
    """The role stays: who may change subjects must not be able to swap the role under them."""
    if old.spec.role_ref != new.spec.role_ref:
        return [FieldError("spec.roleRef", "can't be changed; delete the binding and make another", "Immutable")]
    return []


def _subjects(obj: Wire) -> str:
    subjects: Sequence[dict[str, Any]] = obj["spec"].get("subjects", [])
    return ", ".join(f"{s.get('kind', 'user')}:{s['name']}" for s in subjects)


def describe(obj: Wire) -> list[Section]:
    """The role and who has it by this binding."""
    role: dict[str, Any] = obj["spec"]["roleRef"]
    where = obj["metadata"].get("domain") or "everywhere"
    rows = (
        ("Role", f"{role['name']} ({role.get('scope', 'Cluster')})"),
        ("Where", str(where)),
        ("Subjects", _subjects(obj) or "none"),
    )
    return [Section("Binding", rows)]


KIND = Kind(
    kind="RoleBinding",
    plural="rolebindings",
    scope=Scope.EITHER,
    spec=RoleBindingSpec,
    short_names=("rb",),
    validate=validate,
    validate_update=validate_update,
    columns=(Column("ROLE", "spec.roleRef.name"), Column("SUBJECTS", _subjects)),
    describe=describe,
)
