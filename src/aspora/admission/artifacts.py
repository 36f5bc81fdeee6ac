"""A Skill or Revision names an artifact that is there and fits its settings: what is stored can be run."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aspora.admission.interface import AdmissionPorts, AdmissionRequest, Review
from aspora.meta.errors import FieldError, Invalid, NotFound, TooLarge
from aspora.skills.archive import read_archive
from aspora.skills.fitness import artifact_problems, settings_problems

SPEC_PATHS = {"Skill": "spec", "Revision": "spec.skillSpec"}
CONCURRENT_READS: Final = 4
"""Each holds a whole artifact in memory."""


class Artifacts:
    """Reads the artifact of each new spec.

    A dry run reads none: `aspora apply --dry-run` uploads nothing, and its answer must not depend on that. Nor is a
    write looked at that leaves the spec as it is, so that a skill whose artifact was lost can still be labelled and
    deleted.
    """

    name = "artifacts"

    def __init__(self, ports: AdmissionPorts) -> None:
        self._store = ports.artifacts
        self._slots = asyncio.Semaphore(CONCURRENT_READS)

    async def validate(self, request: AdmissionRequest) -> Review:
        """An error for each thing without which the skill can't be run, and when nothing is kept under the digest.

        Raises:
            Unavailable: The artifact store can't be asked.
        """
        path = SPEC_PATHS.get(request.kind.kind)
        if path is None or request.new is None or request.operation == "update_status":
            return Review()
        if request.old is not None and request.old["spec"] == request.new["spec"]:
            return Review()
        own: Mapping[str, Any] = request.new["spec"]
        spec: Mapping[str, Any] = own if path == "spec" else own["skillSpec"]
        errors = list(settings_problems(spec, path=path))
        if not request.dry_run:
            errors += await self._look_into(spec, path=path, domain=request.domain)
        return Review(errors=errors)

    async def _look_into(self, spec: Mapping[str, Any], *, path: str, domain: str) -> Sequence[FieldError]:
        digest = str(spec["artifact"]["digest"])
        try:
            async with self._slots:
                data = await self._store.get(digest)
                files = await asyncio.to_thread(read_archive, data)
        except NotFound:
            message = (
                f"no artifact {digest!r} has been uploaded; PUT it first to"
                f" /api/v1/domains/{domain}/artifacts/{digest}, or use 'aspora apply', which does"
            )
            return [FieldError(f"{path}.artifact.digest", message, "NotFound")]
        except (Invalid, TooLarge) as error:
            return [FieldError(f"{path}.artifact.digest", error.message)]
        return list(artifact_problems(spec, files, path=path))
