"""A Skill or Revision names an artifact that is there: what is stored can be run."""

from collections.abc import Mapping
from typing import Any

from aspora.admission.interface import AdmissionPorts, AdmissionRequest, Review
from aspora.meta.errors import FieldError

SPEC_PATHS = {"Skill": "spec", "Revision": "spec.skillSpec"}


class Artifacts:
    """Asks the artifact store for the digest of each new spec.

    A dry run is not asked: `aspora apply --dry-run` uploads nothing, and its answer must not depend on that. Nor is a
    write that leaves the spec as it is, so that a skill whose artifact was lost can still be labelled and deleted.
    """

    name = "artifacts"

    def __init__(self, ports: AdmissionPorts) -> None:
        self._store = ports.artifacts

    async def validate(self, request: AdmissionRequest) -> Review:
        """An error when nothing is kept under the digest.

        Raises:
            Unavailable: The artifact store can't be asked.
        """
        path = SPEC_PATHS.get(request.kind.kind)
        if path is None or request.new is None or request.dry_run or request.operation == "update_status":
            return Review()
        if request.old is not None and request.old["spec"] == request.new["spec"]:
            return Review()
        spec: Mapping[str, Any] = request.new["spec"]
        digest = str((spec if path == "spec" else spec["skillSpec"])["artifact"]["digest"])
        if await self._store.exists(digest):
            return Review()
        message = (
            f"no artifact {digest!r} has been uploaded; PUT it first to"
            f" /api/v1/domains/{request.domain}/artifacts/{digest}, or use 'aspora apply', which does"
        )
        return Review(errors=[FieldError(f"{path}.artifact.digest", message, "NotFound")])
