"""Nothing is silently ignored: a field that does nothing yet, set to something, draws a warning."""

from aspora.admission.interface import AdmissionPorts, AdmissionRequest, Review
from aspora.apis.fields import default_at, values_at


class Inactive:
    """Warns for each set field of `Kind.inactive`."""

    name = "inactive"

    def __init__(self, ports: AdmissionPorts) -> None:
        self._ports = ports

    async def validate(self, request: AdmissionRequest) -> Review:
        """One warning a field: `Inactive: spec.routing.…: why`."""
        if request.new is None or request.operation == "update_status":
            return Review()
        warnings: list[str] = []
        for path, why in request.kind.inactive.items():
            default = default_at(request.kind, path)
            if any(value != default for value in values_at(request.new, path.split("."))):
                warnings.append(f"Inactive: {path}: {why}")
        return Review(warnings=warnings)
