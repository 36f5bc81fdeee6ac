"""Nobody grants what they lack: whoever writes a Role, a RoleBinding or an ApiKey must hold all that it gives."""

from aspora.access.authorize import lacking
from aspora.access.grants import (
    authority_of_key,
    authority_of_roles,
    domain_of,
    find_role,
    role_grants,
    role_of,
)
from aspora.access.interface import Grant, Wire
from aspora.admission.interface import AdmissionPorts, AdmissionRequest, Review
from aspora.meta.errors import FieldError, Forbidden


class Escalation:
    """Compares what an object gives with what its writer holds."""

    name = "escalation"

    def __init__(self, ports: AdmissionPorts) -> None:
        self._reader = ports.reader

    async def validate(self, request: AdmissionRequest) -> Review:
        """Errors for roles that don't exist.

        Raises:
            Forbidden: The writer lacks some of it.
        """
        if request.new is None or request.operation == "update_status":
            return Review()
        match request.kind.kind:
            case "Role":
                given = role_grants(request.new, domain=domain_of(request.new))
            case "RoleBinding":
                roles = [("spec.roleRef", role_of(request.new))]
                if errors := await self._missing(roles, request.new):
                    return Review(errors=errors)
                given = await self._of_roles(roles, request.new)
            case "ApiKey":
                roles = [(f"spec.roles[{i}]", r) for i, r in enumerate(request.new["spec"].get("roles") or [])]
                if errors := await self._missing(roles, request.new):
                    return Review(errors=errors)
                given = await self._of_key(request)
            case _:
                return Review()
        self._require_held(request, given)
        return Review()

    async def _missing(self, roles: list[tuple[str, str]], obj: Wire) -> list[FieldError]:
        domain = domain_of(obj)
        return [
            FieldError(
                path, f"no role {name!r} in domain {domain!r} or cluster-wide" if domain else f"no role {name!r}"
            )
            for path, name in roles
            if await find_role(self._reader, name, domain=domain) is None
        ]

    async def _of_roles(self, roles: list[tuple[str, str]], obj: Wire) -> list[Grant]:
        authority = await authority_of_roles(self._reader, [name for _, name in roles], domain=domain_of(obj))
        return list(authority.grants)

    async def _of_key(self, request: AdmissionRequest) -> list[Grant]:
        return list((await authority_of_key(self._reader, request.new or {})).grants)

    def _require_held(self, request: AdmissionRequest, given: list[Grant]) -> None:
        missing = lacking(request.caller, given)
        if missing:
            one = missing[0]
            where = "everywhere" if one.domain is None else f"in domain {one.domain!r}"
            raise Forbidden(
                f"{request.caller.name!r} can't give what they don't hold:"
                f" {', '.join(sorted(one.verbs))} on {', '.join(sorted(one.kinds))} {where}"
            )
