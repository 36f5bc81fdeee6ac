"""What a field manager applied before and does not have any more."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aspora.cli.printing import qualified_name
from aspora.cli.rest import Rest
from aspora.client.paths import object_path

Wire = Mapping[str, Any]
NEEDED_VERBS = frozenset({"list", "patch", "delete"})


@dataclass(frozen=True, slots=True)
class Prunable:
    """An object that is to go.

    Attributes:
        name: As `skill/wealth/create-goal`.
    """

    resource: Wire
    object: Wire
    name: str


def prunable(rest: Rest, applied: Sequence[Wire], *, manager: str, selector: str) -> list[Prunable]:
    """What the manager has applied, in the domains and of the cluster-wide kinds of `applied`, that is not in it.

    What another object owns stays: whoever owns it looks after it. Objects in a domain come before the domain.
    """
    kept = {_identity(obj) for obj in applied}
    domains = sorted({obj["metadata"].get("domain") or "" for obj in applied} - {""})
    cluster_kinds = {obj["kind"] for obj in applied if not obj["metadata"].get("domain")}
    found: list[Prunable] = []
    for resource in sorted(rest.resources(), key=lambda r: r["scope"] == "Cluster"):
        if not set(resource["verbs"]) >= NEEDED_VERBS:
            continue
        places = domains if resource["scope"] != "Cluster" else [""] if resource["kind"] in cluster_kinds else []
        for obj in _listed(rest, resource, places, selector=selector):
            if _is_applied_by(obj, manager) and _identity(obj) not in kept:
                found.append(Prunable(resource, obj, qualified_name(resource["singularName"], obj)))
    return found


def prune(rest: Rest, found: Prunable, *, dry_run: bool) -> None:
    """Delete that very object.

    Raises:
        StatusError: As the server refused it.
    """
    metadata = found.object["metadata"]
    path = object_path(found.resource["name"], metadata["name"], domain=metadata.get("domain") or "")
    rest.call("DELETE", path, query={"uid": metadata["uid"], "dryRun": "All" if dry_run else None})


def _listed(rest: Rest, resource: Wire, places: Sequence[str], *, selector: str) -> Iterator[Wire]:
    for domain in places:
        yield from rest.items(object_path(resource["name"], domain=domain), query={"labelSelector": selector})


def _identity(obj: Wire) -> tuple[str, str, str]:
    return obj["kind"], obj["metadata"].get("domain") or "", obj["metadata"]["name"]


def _is_applied_by(obj: Wire, manager: str) -> bool:
    metadata = obj["metadata"]
    entries = metadata.get("managedFields", [])
    return not metadata.get("ownerReferences") and any(
        entry["manager"] == manager and entry["operation"] == "Apply" for entry in entries
    )
