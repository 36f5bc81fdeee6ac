"""Make the server hold one wanted object: upload its artifact, create or update it, wait until it is observed."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aspora.cli.rest import Rest, object_path
from aspora.meta.errors import Conflict, NotFound, Timeout

Wire = Mapping[str, Any]
Change = Literal["created", "configured", "unchanged"]
WAIT_SECONDS = 30.0
SERVER_OWNED = (
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "ownerReferences",
    "finalizers",
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One object as a folder or a manifest wants it.

    Attributes:
        object: Its wire form, without what the server owns.
        source: Where it comes from, for messages.
        artifact: The packed folder of a skill, under the digest that its spec names; None for other kinds.
        warnings: What its author should hear.
    """

    object: Wire
    source: str
    artifact: bytes | None = None
    warnings: tuple[str, ...] = ()

    @property
    def domain(self) -> str:
        """The domain, "" for a cluster-wide object."""
        return str(self.object["metadata"].get("domain") or "")

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.object["metadata"]["name"])


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of it."""

    object: Wire
    change: Change
    warnings: tuple[str, ...] = field(default=())


def merged(wanted: Wire, found: Wire) -> dict[str, Any]:
    """The update to send: the wanted spec, labels and annotations over what the server keeps."""
    metadata = dict(found["metadata"])
    for name in ("labels", "annotations"):
        both = {**metadata.get(name, {}), **wanted["metadata"].get(name, {})}
        if both:
            metadata[name] = both
    return {**found, "metadata": metadata, "spec": wanted["spec"]}


class Applier:
    """Applies wanted objects over one connection."""

    def __init__(self, rest: Rest, *, dry_run: bool = False, sleep: Callable[[float], None] = time.sleep) -> None:
        self._rest = rest
        self._dry_run = dry_run
        self._sleep = sleep

    def apply(self, wanted: Wanted) -> Applied:
        """Create or update; a conflict with another writer is tried once more on what is there by then.

        Raises:
            StatusError: As the server refused it.
        """
        resource = self._rest.resource(wanted.object["kind"])
        if wanted.artifact is not None and not self._dry_run:
            self._upload(wanted)
        self._rest.warnings.clear()
        try:
            found, change = self._write(resource, wanted)
        except Conflict:
            found, change = self._write(resource, wanted)
        return Applied(found, change, (*wanted.warnings, *self._rest.warnings))

    def _upload(self, wanted: Wanted) -> None:
        digest = wanted.object["spec"]["artifact"]["digest"]
        path = f"/api/v1/domains/{wanted.domain}/artifacts/{digest}"
        try:
            self._rest.call_raw("HEAD", path)
        except NotFound:
            self._rest.call_raw("PUT", path, raw=wanted.artifact)

    def _write(self, resource: Wire, wanted: Wanted) -> tuple[Wire, Change]:
        query = {"dryRun": "All" if self._dry_run else None}
        path = object_path(resource, wanted.name, domain=wanted.domain)
        try:
            found: Wire = self._rest.call("GET", path)
        except NotFound:
            collection = object_path(resource, domain=wanted.domain)
            return self._rest.call("POST", collection, body=wanted.object, query=query), "created"
        new: Wire = self._rest.call("PUT", path, body=merged(wanted.object, found), query=query)
        same = _comparable(new) == _comparable(found)
        return new, "unchanged" if same else "configured"

    def wait_observed(self, obj: Wire, *, timeout_seconds: float = WAIT_SECONDS) -> Wire:
        """The object once its controller has seen this generation.

        Raises:
            Timeout: It has not in time; says where to look.
        """
        resource = self._rest.resource(obj["kind"])
        metadata = obj["metadata"]
        path = object_path(resource, metadata["name"], domain=metadata.get("domain") or "")
        deadline, pause = time.monotonic() + timeout_seconds, 0.01
        while (obj.get("status") or {}).get("observedGeneration", 0) < metadata["generation"]:
            if time.monotonic() > deadline:
                raise Timeout(
                    f"no controller has looked at {metadata['name']!r} within {timeout_seconds:g} s; see: aspora status"
                )
            self._sleep(pause)
            pause = min(pause * 1.5, 0.25)
            obj = self._rest.call("GET", path)
        return obj


def _comparable(obj: Wire) -> Wire:
    metadata = {k: v for k, v in obj["metadata"].items() if k not in SERVER_OWNED}
    return {"metadata": metadata, "spec": obj["spec"]}
