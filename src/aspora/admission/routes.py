"""A Route sends requests to revisions of its own skill that are there, and these stay while it does."""

from aspora.admission.interface import AdmissionPorts, AdmissionRequest, Review, Wire
from aspora.meta.errors import Conflict, FieldError
from aspora.meta.names import did_you_mean
from aspora.meta.surroundings import Needs, Surrounding, UnlessHeld

NAMES_SHOWN = 10


class Routes:
    """Looks up what a new traffic list names, and who still names a Revision that is to go.

    A write that leaves a Route's spec as it is passes, so that one which was pointing nowhere before this rule can
    still be labelled. Once the skill itself is gone its revisions can go too: nothing resolves by its routes any more.
    """

    name = "routes"

    def __init__(self, ports: AdmissionPorts) -> None:
        self._reader = ports.reader

    async def validate(self, request: AdmissionRequest) -> Review:
        """An error for each target that is no revision of the skill.

        Raises:
            Conflict: The Revision to be deleted serves some route's requests.
        """
        if request.kind.kind == "Revision" and request.operation == "delete" and request.old is not None:
            return Review(surroundings=await self._require_unused(request.old))
        if request.kind.kind != "Route" or request.new is None or request.operation == "update_status":
            return Review()
        if request.old is not None and request.old["spec"] == request.new["spec"]:
            return Review()
        spec = request.new["spec"]
        named = [Needs("Revision", request.domain, str(target["revision"])) for target in spec.get("traffic", [])]
        return Review(errors=await self._unknown_targets(request.domain, spec), surroundings=named)

    async def _unknown_targets(self, domain: str, spec: Wire) -> list[FieldError]:
        skill = str(spec["skill"])
        errors: list[FieldError] = []
        for i, target in enumerate(spec.get("traffic", [])):
            name = str(target["revision"])
            found = await self._reader.get("Revision", name, domain=domain)
            if found is None or found["spec"]["skill"] != skill:
                message = await self._refusal(domain, skill, name, found)
                errors.append(FieldError(f"spec.traffic[{i}].revision", message, "NotFound"))
        return errors

    async def _refusal(self, domain: str, skill: str, name: str, found: Wire | None) -> str:
        own = [r for r in await self._reader.list("Revision", domain=domain) if r["spec"]["skill"] == skill]
        own.sort(key=lambda r: str(r["metadata"].get("creationTimestamp", "")), reverse=True)
        names = [str(r["metadata"]["name"]) for r in own[:NAMES_SHOWN]]
        other = f" (it is one of skill {found['spec']['skill']!r})" if found is not None else ""
        known = did_you_mean(name, names) or "; it has none yet: apply the skill first"
        return f"skill {skill!r} has no revision {name[:80]!r} in domain {domain!r}{other}{known}"

    async def _require_unused(self, revision: Wire) -> list[Surrounding]:
        """Of the routes of a living skill, none sends anything to the revision; the store looks once more."""
        name, domain, skill = revision["metadata"]["name"], revision["metadata"]["domain"], revision["spec"]["skill"]
        if await self._reader.get("Skill", skill, domain=domain) is None:
            return []
        for route in await self._reader.list("Route", domain=domain):
            if any(target["revision"] == name for target in route["spec"].get("traffic", [])):
                raise Conflict(
                    f"revision {name!r} can't be deleted: route {route['metadata']['name']!r} sends requests to it; "
                    f"point the route elsewhere first: aspora rollback {domain}/{skill} --to REVISION"
                    f" --env {route['spec'].get('environment', 'production')}"
                )
        return [UnlessHeld("Route", domain, {"spec": {"traffic": [{"revision": name}]}})]
