"""The values of a Secret are sealed here: what goes on to the store has none of them, only their names and sizes."""

from collections.abc import Mapping
from typing import Any

from aspora.admission.interface import AdmissionPorts, AdmissionRequest, Mutation
from aspora.apis.decode import invalid
from aspora.apis.secret import KIND_NAME, check_values, entries_of
from aspora.meta.errors import FieldError


class Secrets:
    """Seals `spec.data`; nobody chooses what is sealed or which entries there are."""

    name = "secrets"

    def __init__(self, ports: AdmissionPorts) -> None:
        self._sealer = ports.sealer

    async def mutate(self, request: AdmissionRequest) -> Mutation:
        """The Secret as it may be stored.

        Raises:
            Invalid: The values are none.
            Unavailable: There is no key to seal them with.
        """
        new = request.new or {}
        spec = new.get("spec")
        if request.kind.kind != KIND_NAME or request.operation == "update_status" or not isinstance(spec, Mapping):
            return Mutation(new)
        old: Mapping[str, Any] = request.old["spec"] if request.old is not None else {}
        given = spec.get("data")
        kept = {name: value for name, value in spec.items() if name not in {"data", "sealed", "entries"}}
        if given is None:
            same = {name: old[name] for name in ("sealed", "entries") if name in old}
            return Mutation({**new, "spec": {**kept, **same}})
        values = _values(request, new, given)
        place = place_of(request.domain, request.name)
        sealed = old.get("sealed", "")
        # The same values again keep their seal: an apply that changes nothing writes nothing.
        if not sealed or not self._sealer.holds(sealed, values, place=place):
            sealed = self._sealer.seal(values, place=place)
        return Mutation({**new, "spec": {**kept, "sealed": sealed, "entries": entries_of(values)}})


def place_of(domain: str, name: str) -> str:
    """What the values of a Secret are sealed for."""
    return f"{KIND_NAME}/{domain}/{name}"


def _values(request: AdmissionRequest, new: Mapping[str, Any], given: Any) -> dict[str, str]:
    """The values, checked before they vanish from the object; the schema sees them no more."""
    if not isinstance(given, Mapping) or not given:
        raise invalid(KIND_NAME, new, [FieldError("spec.data", "must be a map of at least one text by name")])
    wrong = [
        FieldError(f"spec.data.{str(name)[:80]}", "must be a text; write numbers in quotes")
        for name, value in given.items()
        if not isinstance(value, str)
    ]
    errors = wrong or check_values(dict(given))
    if errors:
        raise invalid(KIND_NAME, new, errors)
    return dict(given)
