"""What a field manager applied before and does not have any more."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from aspora.cli.printing import qualified_name
from aspora.cli.rest import Rest
from aspora.client.paths import object_path
from aspora.meta.errors import Forbidden

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


@dataclass(slots=True)
class Leftovers:
    """What a manager has applied and does not have any more.

    Attributes:
        prunable: What is to go, the objects of a domain before the domain.
        elsewhere: Names of what lies in domains, or is of cluster-wide kinds, that nothing was applied to.
        shared: Names of what another manager applies too.
    """

    prunable: list[Prunable] = field(default_factory=list[Prunable])
    elsewhere: list[str] = field(default_factory=list[str])
    shared: list[str] = field(default_factory=list[str])


def leftovers(
    rest: Rest, applied: Sequence[Wire], *, manager: str, selector: str, domain: str = "", everywhere: bool = False
) -> Leftovers:
    """What the manager has applied under the selector that is not in `applied`.

    One manager may apply several folders one after another, each of which must leave the others' objects alone: so
    what lies where `applied` has nothing is only told, unless the caller says that this is all. What another object
    owns stays: whoever owns it looks after it.

    Args:
        domain: One whose objects are looked at in any case; "" for none.
        everywhere: Prune in every domain and of every kind.

    Raises:
        StatusError: As the server refused to list.
    """
    kept = {_identity(obj) for obj in applied}
    domains = {obj["metadata"].get("domain") or "" for obj in applied} | {domain}
    cluster_kinds = {obj["kind"] for obj in applied if not obj["metadata"].get("domain")}
    found = Leftovers()
    for resource in sorted(rest.resources(), key=lambda r: r["scope"] == "Cluster"):
        if not set(resource["verbs"]) >= NEEDED_VERBS:
            continue
        for obj in _listed(rest, resource, domains - {""}, selector=selector, everywhere=everywhere):
            managers = set() if obj["metadata"].get("ownerReferences") else _appliers(obj)
            if manager not in managers or _identity(obj) in kept:
                continue
            where, name = obj["metadata"].get("domain") or "", qualified_name(resource["singularName"], obj)
            if not (everywhere or (where in domains if where else obj["kind"] in cluster_kinds)):
                found.elsewhere.append(name)
            elif managers > {manager}:
                found.shared.append(name)
            else:
                found.prunable.append(Prunable(resource, obj, name))
    return found


def prune(rest: Rest, found: Prunable, *, dry_run: bool) -> None:
    """Delete that very object.

    Raises:
        StatusError: As the server refused it.
    """
    metadata = found.object["metadata"]
    path = object_path(found.resource["name"], metadata["name"], domain=metadata.get("domain") or "")
    rest.call("DELETE", path, query={"uid": metadata["uid"], "dryRun": "All" if dry_run else None})


def _listed(
    rest: Rest, resource: Wire, domains: Set[str], *, selector: str, everywhere: bool
) -> Iterator[dict[str, Any]]:
    """Objects everywhere; where the caller may not see that much and need not, those of the domains."""
    query = {"labelSelector": selector}
    try:
        yield from rest.items(object_path(resource["name"]), query=query)
    except Forbidden:
        if everywhere:
            raise
        for domain in sorted(domains) if resource["scope"] != "Cluster" else ():
            yield from rest.items(object_path(resource["name"], domain=domain), query=query)


def _identity(obj: Wire) -> tuple[str, str, str]:
    return obj["kind"], obj["metadata"].get("domain") or "", obj["metadata"]["name"]


def _appliers(obj: Wire) -> set[str]:
    return {entry["manager"] for entry in obj["metadata"].get("managedFields", []) if entry["operation"] == "Apply"}
