"""One version, one content: a skill's artifact never changes under the same semantic version."""

from collections.abc import Mapping
from typing import Any

from aspora.admission.interface import AdmissionPorts, AdmissionRequest, Review, Wire
from aspora.meta.errors import FieldError

KIND = "Skill"


class Versions:
    """Compares a Skill with its revisions and with its own former self, whose revision may not be made yet."""

    name = "versions"

    def __init__(self, ports: AdmissionPorts) -> None:
        self._reader = ports.reader

    async def validate(self, request: AdmissionRequest) -> Review:
        """An error when the version is already another content's."""
        if request.kind.kind != KIND or request.new is None or request.operation == "update_status":
            return Review()
        spec: Mapping[str, Any] = request.new["spec"]
        version, digest = spec.get("version"), _digest(spec)
        if not version or digest is None:
            return Review()
        for known in await self._former_specs(request):
            other = _digest(known)
            if known.get("version") == version and other is not None and other != digest:
                return Review(errors=[FieldError("spec.version", _message(str(version), other, digest), "Immutable")])
        return Review()

    async def _former_specs(self, request: AdmissionRequest) -> list[Wire]:
        revisions = await self._reader.list("Revision", domain=request.domain)
        former: list[Wire] = [r["spec"]["skillSpec"] for r in revisions if r["spec"]["skill"] == request.name]
        return former if request.old is None else [request.old["spec"], *former]


def _digest(spec: Wire) -> str | None:
    return (spec.get("artifact") or {}).get("digest")


def _message(version: str, other: str, digest: str) -> str:
    return (
        f"version {version!r} already has the content {_short(other)}, and this is {_short(digest)};"
        " raise the version, or set versioning.strategy to timestamp"
    )


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]
