"""Nothing is silently ignored: a field that does nothing yet, set to something, draws a warning."""

from aspora.admission.interface import AdmissionPorts, AdmissionRequest, Review
from aspora.apis.fields import inactive_fields


class Inactive:
    """Warns for each set field of `Kind.inactive`."""

    name = "inactive"

    def __init__(self, ports: AdmissionPorts) -> None:
        self._ports = ports

    async def validate(self, request: AdmissionRequest) -> Review:
        """One warning a field: `Inactive: spec.routing.…: why`."""
        if request.new is None or request.operation == "update_status":
            return Review()
        set_fields = inactive_fields(request.kind, request.new)
        return Review(warnings=[f"Inactive: {path}: {why}" for path, why in set_fields])
