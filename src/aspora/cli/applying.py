"""Make the server hold a wanted object: upload its artifact, apply it server-side, look at what became of it."""

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from aspora.cli.rest import Rest
from aspora.cli.targets import DEFAULT_DOMAIN
from aspora.client.paths import object_path
from aspora.meta.errors import AlreadyExists, Conflict, Forbidden, NotFound

Wire = Mapping[str, Any]
Change = Literal["created", "configured", "unchanged"]
CONFLICT_PAUSES_SECONDS = (0.0, 0.02, 0.05, 0.1, 0.2)
"""Before each further try of a write that met another writer."""
NEW_DOMAIN = "its domain does not exist yet, so the server could not check more of it"
MANAGER = "aspora-cli"
"""The field manager of `aspora apply`, unless another is named."""

APPLY = {"Content-Type": "application/apply-patch+json"}
FIELD_CONFLICT = "FieldManagerConflict"
SERVER_OWNED = ("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "managedFields")
NOT_COMPARED = (*SERVER_OWNED, "ownerReferences", "finalizers")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One object as a folder or a manifest wants it.

    Attributes:
        object: Its wire form, without what the server owns.
        source: Where it comes from, for messages.
        artifact: The packed folder of a skill, under the digest that its spec names; None for other kinds.
        warnings: What its author should hear.
        if_absent: Only make it when the server has none; never change one.
    """

    object: Wire
    source: str
    artifact: bytes | None = None
    warnings: tuple[str, ...] = ()
    if_absent: bool = False

    @property
    def domain(self) -> str:
        """The domain, "" for a cluster-wide object."""
        return str(self.object["metadata"].get("domain") or "")

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.object["metadata"]["name"])


class Known:
    """What has been applied before, so that only what changed is applied again."""

    def __init__(self) -> None:
        self._applied: dict[tuple[str, str, str, str], Wanted] = {}

    def fresh(self, items: Iterable[Wanted]) -> list[Wanted]:
        """Those that are new or say something else than before; where they stand in their file does not count."""
        return [item for item in items if self._applied.get(_place_of(item)) != _content(item)]

    def learn(self, item: Wanted) -> None:
        """It is applied."""
        self._applied[_place_of(item)] = _content(item)

    def forget_gone(self, items: Iterable[Wanted]) -> list[Wanted]:
        """Those that were applied and are not among `items`, from whichever file; told once."""
        there = {_place_of(item)[1:] for item in items}
        gone = {place: item for place, item in self._applied.items() if place[1:] not in there}
        for place in gone:
            del self._applied[place]
        return [item for item in gone.values() if not item.if_absent]


def _place_of(item: Wanted) -> tuple[str, str, str, str]:
    """The file, without the line, and the object."""
    return re.sub(r":\d+$", "", item.source), item.object["kind"], item.domain, item.name


def _content(item: Wanted) -> Wanted:
    return replace(item, source="", warnings=())


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of it.

    Attributes:
        object: As the server has it now, or in a dry run would have it.
        before: As the server had it; None when it had none.
        warnings: Its own and the server's; those of an unchanged object only in a dry run.
    """

    object: Wire
    change: Change
    before: Wire | None = None
    warnings: tuple[str, ...] = ()


def intent(wanted: Wire, *, found: Wire | None = None) -> dict[str, Any]:
    """What a manifest has an opinion on: all it says, but for what the server owns.

    One that names the version it is based on means that: when the object is there, the server refuses a stale one.
    """
    dropped = {*SERVER_OWNED} - ({"resourceVersion"} if found is not None else set[str]())
    metadata = {k: v for k, v in wanted["metadata"].items() if k not in dropped and v}
    return {**{k: v for k, v in wanted.items() if k != "status"}, "metadata": metadata}


class Applier:
    """Applies wanted objects over one connection.

    Args:
        rest: The connection.
        dry_run: Go the whole way on the server but store nothing.
        domain: Where objects go that live in a domain and name none.
        manager: The field manager in whose name fields are set.
        force: Take fields over that other managers have set otherwise.
        sleep: Waits between looks.

    Attributes:
        place: What commands in hints need to mean the same Aspora.
    """

    def __init__(
        self,
        rest: Rest,
        *,
        dry_run: bool = False,
        domain: str = DEFAULT_DOMAIN,
        manager: str = MANAGER,
        force: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rest = rest
        self.place = rest.place
        self._dry_run = dry_run
        self._domain = domain
        self._query = {
            "fieldManager": manager,
            "force": "true" if force else None,
            "dryRun": "All" if dry_run else None,
        }
        self._sleep = sleep
        self._domains_to_be: set[str] = set()

    def apply(self, wanted: Wanted) -> Applied:
        """Create or update; a conflict with another writer is tried again on what is there by then.

        Raises:
            StatusError: As the server refused it.
        """
        try:
            resource = self._rest.resource(wanted.object["kind"])
        except ValueError as e:
            raise NotFound(str(e)) from None
        wanted = self._placed(wanted, resource)
        if wanted.artifact is not None and not self._dry_run:
            self._upload(wanted)
        self._rest.warnings.clear()
        applied = self._write_patiently(resource, wanted)
        if applied.change == "unchanged" and not self._dry_run:
            return applied  # It was warned of when it became so.
        servers = unsaid(self._rest.warnings, said=wanted.warnings)
        return replace(applied, warnings=(*wanted.warnings, *applied.warnings, *servers))

    def _placed(self, wanted: Wanted, resource: Wire) -> Wanted:
        """With its domain, where its kind needs one."""
        if resource["scope"] != "Domain" or wanted.domain:
            return wanted
        metadata = {**wanted.object["metadata"], "domain": self._domain}
        return replace(wanted, object={**wanted.object, "metadata": metadata})

    def _upload(self, wanted: Wanted) -> None:
        digest = wanted.object["spec"]["artifact"]["digest"]
        path = object_path("artifacts", digest, domain=wanted.domain)
        try:
            self._rest.call_raw("HEAD", path)
        except NotFound:
            self._rest.call_raw("PUT", path, raw=wanted.artifact)

    def _write_patiently(self, resource: Wire, wanted: Wanted) -> Applied:
        for pause_seconds in CONFLICT_PAUSES_SECONDS:
            try:
                return self._write(resource, wanted)
            except (Conflict, AlreadyExists) as e:
                is_pinned = "resourceVersion" in wanted.object["metadata"]
                if is_pinned or any(detail.reason == FIELD_CONFLICT for detail in e.details):
                    raise
                self._sleep(pause_seconds)
        return self._write(resource, wanted)

    def _write(self, resource: Wire, wanted: Wanted) -> Applied:
        path = object_path(resource["name"], wanted.name, domain=wanted.domain)
        found: Wire | None
        try:
            found = self._rest.call("GET", path)
        except NotFound:
            found = None
            if self._dry_run and wanted.domain in self._domains_to_be:
                return Applied(wanted.object, "created", warnings=(NEW_DOMAIN,))
        if found is not None and wanted.if_absent:
            return Applied(found, "unchanged", found)
        new: Wire = self._rest.call(
            "PATCH", path, body=intent(wanted.object, found=found), query=self._query, headers=APPLY
        )
        if found is not None:
            return Applied(new, "unchanged" if comparable(new) == comparable(found) else "configured", found)
        if resource["name"] == "domains":
            self._domains_to_be.add(wanted.name)
        return Applied(new, "created")

    def held_back(self, skill: Wire) -> str:
        """What to say when production does not serve a skill's latest revision alone; "" when it does."""
        metadata, latest = skill["metadata"], (skill.get("status") or {}).get("latestRevision")
        path = object_path("routes", f"{metadata['name']}.production", domain=metadata["domain"])
        try:
            traffic = self._rest.call("GET", path)["spec"].get("traffic", [])
        except (NotFound, Forbidden):
            return ""
        others = [t["revision"] for t in traffic if t["revision"] != latest]
        if not others or latest is None:
            return ""
        partly = " in part" if len(others) < len(traffic) else " (rolled back)"
        forward = f"aspora rollback {metadata['domain']}/{metadata['name']} --to {latest}{self.place}"
        return f"production points at {', '.join(others)}{partly}, not at {latest}; to go forward: {forward}"

    def look(self, obj: Wire) -> Wire:
        """The object as the server has it now.

        Raises:
            StatusError: As the server refused it.
        """
        metadata = obj["metadata"]
        resource = self._rest.resource(obj["kind"])
        found: Wire = self._rest.call(
            "GET", object_path(resource["name"], metadata["name"], domain=metadata.get("domain") or "")
        )
        return found

    def pause(self, seconds: float) -> None:
        """Wait before another look."""
        self._sleep(seconds)


def comparable(obj: Wire) -> dict[str, Any]:
    """What its authors say of an object: all but what the server adds."""
    metadata = {k: v for k, v in obj["metadata"].items() if k not in NOT_COMPARED and v}
    return {"metadata": metadata, "spec": obj["spec"]}


def unsaid(warnings: Iterable[str], *, said: Sequence[str]) -> list[str]:
    """Warnings of the schema that the loader has not given before, with file and line."""
    return [w for w in warnings if not any(one.endswith(w.removeprefix("Inactive: spec.")) for one in said)]


def revision_text(applied: Applied) -> str:
    """` (revision a → b)`, or "" for what has no revisions or whose new one is not known yet."""
    old, new = (((obj or {}).get("status") or {}).get("latestRevision") for obj in (applied.before, applied.object))
    if new and old and old != new and applied.change == "configured":
        return f" (revision {old} → {new})"
    return f" (revision {new})" if new and applied.change != "configured" else ""
