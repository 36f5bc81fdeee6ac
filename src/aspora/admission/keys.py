"""A new ApiKey gets its secret here: the hash is stored, the text goes into the answer and nowhere else."""

from collections.abc import Mapping
from typing import Any

from aspora.access.keys import KeyId, mint_key
from aspora.admission.interface import AdmissionPorts, AdmissionRequest, Mutation

KIND = "ApiKey"
ONCE_KEY = "key"


class Keys:
    """Mints keys on create, and lets nobody choose or change a hash but Aspora's own start."""

    name = "keys"

    def __init__(self, ports: AdmissionPorts) -> None:
        self._ports = ports

    async def mutate(self, request: AdmissionRequest) -> Mutation:
        """The ApiKey with the hash it must have."""
        new = request.new or {}
        spec = new.get("spec")
        if request.kind.kind != KIND or request.operation == "update_status" or not isinstance(spec, Mapping):
            return Mutation(new)
        if request.old is not None:
            return Mutation(_with_hash(new, spec, request.old["spec"].get("keyHash")))
        if _brings_own_hash(request, spec):
            return Mutation(new)
        key = mint_key(KeyId(request.domain, request.name))
        once = {} if request.dry_run else {ONCE_KEY: key.text}
        return Mutation(_with_hash(new, spec, key.key_hash), once=once)


def _brings_own_hash(request: AdmissionRequest, spec: Mapping[str, Any]) -> bool:
    """A caller made inside the process (no key of its own) starts Aspora up and knows what it does."""
    return request.caller.kind == "system" and not request.caller.key and "keyHash" in spec


def _with_hash(new: Mapping[str, Any], spec: Mapping[str, Any], key_hash: Any) -> Mapping[str, Any]:
    return {**new, "spec": {**spec, "keyHash": key_hash}}
