"""Owner references name what can own: an object of the same domain, or a cluster-wide one."""

from collections.abc import Mapping
from typing import Any

from aspora.admission.interface import AdmissionPorts, AdmissionRequest, Review
from aspora.apis.builtins import load_kinds
from aspora.apis.kind import Scope
from aspora.meta.errors import FieldError
from aspora.meta.names import did_you_mean


class Owners:
    """Checks owner references that are new or changed.

    Whether the owner is there is not asked: one that is gone makes the object garbage, and the collector takes it.
    """

    name = "owners"

    def __init__(self, ports: AdmissionPorts) -> None:
        self._scopes = {kind.kind: kind.scope for kind in load_kinds()}

    async def validate(self, request: AdmissionRequest) -> Review:
        """An error for each reference that can't be right."""
        if request.new is None or request.operation == "update_status":
            return Review()
        owners: list[Mapping[str, Any]] = request.new["metadata"].get("ownerReferences", [])
        if request.old is not None and owners == request.old["metadata"].get("ownerReferences", []):
            return Review()
        errors = [
            FieldError(f"metadata.ownerReferences[{i}].{at}", why) for i, at, why in self._problems(request, owners)
        ]
        if sum(bool(owner.get("controller")) for owner in owners) > 1:
            errors.append(
                FieldError(
                    "metadata.ownerReferences",
                    "only one owner can be the controller; set controller: false on the others",
                )
            )
        return Review(errors=errors)

    def _problems(self, request: AdmissionRequest, owners: list[Mapping[str, Any]]) -> list[tuple[int, str, str]]:
        found: list[tuple[int, str, str]] = []
        seen: set[str] = set()
        for i, owner in enumerate(owners):
            kind, name, uid = str(owner["kind"]), str(owner["name"]), str(owner["uid"])
            if kind not in self._scopes:
                found.append((i, "kind", f"there is no kind {kind[:80]!r}{did_you_mean(kind[:80], self._scopes)}"))
            elif self._scopes[kind] is Scope.DOMAIN and not request.domain:
                found.append((i, "kind", f"a {kind} lives in a domain and can't own what is cluster-wide"))
            if kind == request.kind.kind and name == request.name:
                found.append((i, "name", "nothing owns itself"))
            if uid in seen or not uid:
                found.append((i, "uid", "must be the owner's uid, once"))
            seen.add(uid)
        return found
