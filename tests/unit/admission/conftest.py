"""A reader over a dict, and requests."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from aspora.access.interface import ANY, ANY_STATUS, Caller, Grant
from aspora.admission.interface import AdmissionPorts, AdmissionRequest
from aspora.apis.builtins import load_kinds
from aspora.meta.errors import NotFound
from aspora.skills.archive import ArchiveFile, write_archive

NOW = datetime(2026, 2, 18, 12, 0, tzinfo=UTC)
ROOT = Caller("root", "user", (Grant(None, frozenset({ANY}), frozenset({ANY, ANY_STATUS})),), key="root")


class DictReader:
    """Objects by kind, domain and name."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Mapping[str, Any]] = {}

    def add(self, obj: Mapping[str, Any]) -> None:
        self.objects[obj["kind"], obj["metadata"].get("domain") or "", obj["metadata"]["name"]] = obj

    async def get(self, kind: str, name: str, *, domain: str = "") -> Mapping[str, Any] | None:
        return self.objects.get((kind, domain, name))

    async def list(self, kind: str, *, domain: str | None = None) -> Sequence[Mapping[str, Any]]:
        return [o for (k, d, _), o in sorted(self.objects.items()) if k == kind and domain in {None, d}]


class KnownArtifacts:
    """Has one under the digests of `a`, `b` and `c`, and what is put; `asked` says which it was asked for."""

    def __init__(self) -> None:
        packed = write_archive([ArchiveFile("SKILL.md", b"Do it."), ArchiveFile("code/handler.py", b"")])
        self.held = {f"sha256:{letter * 64}": packed.data for letter in "abc"}
        self.asked: list[str] = []

    async def get(self, digest: str) -> bytes:
        self.asked.append(digest)
        if digest not in self.held:
            raise NotFound(f"no artifact {digest!r}")
        return self.held[digest]


@pytest.fixture
def artifacts() -> KnownArtifacts:
    return KnownArtifacts()


@pytest.fixture
def reader() -> DictReader:
    return DictReader()


@pytest.fixture
def ports(reader: DictReader, artifacts: KnownArtifacts) -> AdmissionPorts:
    return AdmissionPorts(reader=reader, artifacts=artifacts)


def request_of(
    kind: str,
    new: Mapping[str, Any] | None,
    *,
    old: Mapping[str, Any] | None = None,
    caller: Caller = ROOT,
    **more: Any,
) -> AdmissionRequest:
    metadata = (new or old or {}).get("metadata", {})
    operation = more.pop("operation", "delete" if new is None else "create" if old is None else "update")
    return AdmissionRequest(
        operation=operation,
        kind=load_kinds().load(kind),
        domain=metadata.get("domain") or "",
        name=metadata.get("name", ""),
        old=old,
        new=new,
        caller=caller,
        dry_run=more.pop("dry_run", False),
        now=NOW,
    )


@pytest.fixture
def ask() -> Callable[..., AdmissionRequest]:
    return request_of


def obj(kind: str, name: str, spec: Mapping[str, Any], *, domain: str | None = None, **metadata: Any) -> dict[str, Any]:
    place = {"domain": domain} if domain else {}
    return {"apiVersion": "aspora.dev/v1", "kind": kind, "metadata": {"name": name, **place, **metadata}, "spec": spec}


@pytest.fixture
def make() -> Callable[..., dict[str, Any]]:
    return obj


def skill_spec(digest: str = "a", **spec: Any) -> dict[str, Any]:
    return {
        "skillMd": {"name": "s", "description": "d"},
        "artifact": {"digest": f"sha256:{digest * 64}", "sizeBytes": 1, "fileCount": 1},
        **spec,
    }


@pytest.fixture
def skill() -> Callable[..., dict[str, Any]]:
    def build(digest: str = "a", **spec: Any) -> dict[str, Any]:
        return obj("Skill", "s", skill_spec(digest, **spec), domain="d")

    return build
