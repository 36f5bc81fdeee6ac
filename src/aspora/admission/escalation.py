"""Nobody grants what they lack: whoever writes a Role, a RoleBinding or an ApiKey must hold all that it gives."""

from collections.abc import Iterable

from aspora.access.authorize import lacking
from aspora.access.grants import (
    SYSTEM_PREFIX,
    bound_role,
    domain_of,
    owner_of,
    role_grants,
    roles_of_key,
    roles_of_subject,
    subjects_of,
)
from aspora.access.interface import ANY, ANY_STATUS, Grant, Wire
from aspora.admission.interface import AdmissionPorts, AdmissionRequest, Review
from aspora.meta.errors import FieldError, Forbidden

EVERYTHING = Grant(None, frozenset({ANY}), frozenset({ANY, ANY_STATUS}))


class Escalation:
    """Compares what an object gives with what its writer holds."""

    name = "escalation"

    def __init__(self, ports: AdmissionPorts) -> None:
        self._reader = ports.reader

    async def validate(self, request: AdmissionRequest) -> Review:
        """Errors for roles that don't exist and names that aren't people's.

        Raises:
            Forbidden: The writer lacks some of what the object gives.
        """
        if request.new is None or request.operation == "update_status":
            return Review()
        match request.kind.kind:
            case "Role":
                _require_held(request, role_grants(request.new, domain=domain_of(request.new)))
                return Review()
            case "RoleBinding":
                return await self._review_binding(request, request.new)
            case "ApiKey":
                return await self._review_key(request, request.new)
            case _:
                return Review()

    async def _review_binding(self, request: AdmissionRequest, binding: Wire) -> Review:
        subjects = binding["spec"].get("subjects", [])
        errors = [
            e for i, s in enumerate(subjects) for e in _check_name(f"spec.subjects[{i}].name", s["name"], s.get("kind"))
        ]
        role = await bound_role(self._reader, binding)
        if role is None:
            ref = binding["spec"]["roleRef"]
            place = f"in domain {domain_of(binding)!r}" if ref.get("scope") == "Domain" else "cluster-wide"
            errors.append(
                FieldError(
                    "spec.roleRef.name", f"there is no role {ref['name']!r} {place}; see: aspora get roles", "NotFound"
                )
            )
        if errors or role is None:
            return Review(errors=errors)
        _require_system(request, subjects_of(binding))
        _require_held(request, role.grants)
        return Review()

    async def _review_key(self, request: AdmissionRequest, key: Wire) -> Review:
        spec = key["spec"]
        if errors := _check_name("spec.owner", spec["owner"], spec.get("ownerKind")):
            return Review(errors=errors)
        _require_system(request, [owner_of(key)])
        _require_held(request, [grant for role in await roles_of_key(self._reader, key) for grant in role.grants])
        held = {role.name for role in await roles_of_subject(self._reader, owner_of(key))}
        absent = sorted(set(spec.get("roles") or ()) - held)
        return Review(
            warnings=[f"{owner_of(key)!r} has no role {name!r}: the key gives nothing by it" for name in absent]
        )


def _check_name(path: str, name: str, kind: str | None) -> list[FieldError]:
    """A person can't be named so that records take them for one of Aspora's own processes."""
    if kind != "system" and name.startswith(SYSTEM_PREFIX):
        return [
            FieldError(
                path, f"{name!r} is not possible: names of people don't begin with {SYSTEM_PREFIX!r}; choose another"
            )
        ]
    return []


def _require_system(request: AdmissionRequest, names: Iterable[str]) -> None:
    """Only who holds everything may act for Aspora's own processes."""
    if any(name.startswith(SYSTEM_PREFIX) for name in names) and lacking(request.caller, [EVERYTHING]):
        raise Forbidden(
            f"{request.caller.name!r} may not give anything to Aspora's own processes; "
            "bind the role to a person or a key's owner"
        )


def _require_held(request: AdmissionRequest, given: Iterable[Grant]) -> None:
    missing = lacking(request.caller, given)
    if missing:
        one = missing[0]
        where = "everywhere" if one.domain is None else f"in domain {one.domain!r}"
        what = f"{', '.join(sorted(one.verbs))} on {', '.join(sorted(one.kinds))} {where}"
        raise Forbidden(f"{request.caller.name!r} can't give what they don't hold: {what}; ask somebody who holds it")
