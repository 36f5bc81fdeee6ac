"""The object has its kind's shape, and a change is one that the kind allows."""

from aspora.admission.interface import AdmissionPorts, AdmissionRequest, Review
from aspora.apis.decode import decode
from aspora.meta.errors import FieldError, Invalid


class Schema:
    """Types, names, `Kind.validate`, `Kind.validate_update` and `Kind.immutable_spec`."""

    name = "schema"

    def __init__(self, ports: AdmissionPorts) -> None:
        self._ports = ports

    async def validate(self, request: AdmissionRequest) -> Review:
        """Every problem of the object in itself and of its change."""
        if request.new is None:
            return Review()
        try:
            new = decode(request.kind, request.new)
        except Invalid as e:
            return Review(errors=e.details or (FieldError("", e.message),))
        if request.operation != "update" or request.old is None:
            return Review()
        try:
            old = decode(request.kind, request.old)
        except Invalid:
            return Review()  # stored under an older schema: there is nothing to compare with, and a repair must pass
        errors = request.kind.validate_update(old, new)
        if request.kind.immutable_spec and old.spec != new.spec:
            errors = [FieldError("spec", f"a {request.kind.kind} never changes; make a new one", "Immutable"), *errors]
        return Review(errors=errors)
