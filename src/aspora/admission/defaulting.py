"""Defaults become explicit, and the server's own metadata stays the server's: what is stored says all it means."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from aspora.admission.interface import AdmissionPorts, AdmissionRequest, Mutation
from aspora.meta.errors import API_VERSION
from aspora.meta.objects import to_wire

SERVER_OWNED = ("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp")


class Defaulting:
    """Fills in what the author left out; an object that the schema will refuse passes as it is."""

    name = "defaulting"

    def __init__(self, ports: AdmissionPorts) -> None:
        self._ports = ports

    async def mutate(self, request: AdmissionRequest) -> Mutation:
        """The object with defaults in spec and metadata."""
        new = dict(request.new or {})
        new.setdefault("apiVersion", API_VERSION)
        new.setdefault("kind", request.kind.kind)
        if isinstance(new.get("metadata"), Mapping):
            new["metadata"] = _own_metadata(new["metadata"], request.old)
        if request.operation != "update_status":
            new["status"] = (request.old or {}).get("status")
        new = {k: v for k, v in new.items() if k != "status" or v is not None}
        try:
            return Mutation(to_wire(request.kind.model.model_validate(new, by_alias=True, by_name=False)))
        except ValidationError:
            return Mutation(new)


def _own_metadata(given: Mapping[str, Any], old: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the caller may say, plus what the server says."""
    kept = {k: v for k, v in given.items() if k not in SERVER_OWNED}
    owned: Mapping[str, Any] = old["metadata"] if old is not None else {}
    return {**kept, **{k: owned[k] for k in SERVER_OWNED if k in owned}}
