"""A gateway in memory, as far as the command line's own logic needs one."""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from aspora.meta.errors import AlreadyExists, NotFound, StatusError

RESOURCES = (
    {"name": "domains", "singularName": "domain", "kind": "Domain", "scope": "Cluster", "shortNames": []},
    {"name": "skills", "singularName": "skill", "kind": "Skill", "scope": "Domain", "shortNames": ["sk"]},
    {"name": "models", "singularName": "model", "kind": "Model", "scope": "Cluster", "shortNames": []},
)


class MemoryGateway:
    """Answers the calls of `Rest`; every call is kept, and `fail` may raise in its place."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.artifacts: dict[str, bytes] = {}
        self.calls: list[tuple[str, str]] = []
        self.warnings: list[str] = []
        self.place = ""
        self.fail: Callable[[str, str], StatusError | None] = lambda method, path: None
        self.streams: list[list[dict[str, Any]]] = []
        self.version = 0

    def resource(self, word: str) -> Mapping[str, Any]:
        return next(r for r in RESOURCES if word.lower() in (r["name"], r["singularName"]))

    def call(self, method: str, path: str, *, query: Any = None, body: Any = None, headers: Any = None) -> Any:
        self.calls.append((method, path))
        if error := self.fail(method, path):
            raise error
        dry = (query or {}).get("dryRun") == "All"
        return copy.deepcopy(getattr(self, f"_{method.lower()}")(path, copy.deepcopy(body), dry))

    def _get(self, path: str, _body: Any, _dry: bool) -> dict[str, Any]:
        if path not in self.objects:
            raise NotFound(f"{path} not found")
        return self.objects[path]

    def _post(self, path: str, body: Any, dry: bool) -> dict[str, Any]:
        target = f"{path}/{body['metadata']['name']}"
        if target in self.objects:
            raise AlreadyExists(f"{target} exists")
        return self._stored(target, body, 1, dry)

    def _patch(self, path: str, body: Any, dry: bool) -> dict[str, Any]:
        if path not in self.objects:
            return self._stored(path, body, 1, dry)
        old = self.objects[path]
        metadata = {**old["metadata"], **body["metadata"]}
        for name in ("labels", "annotations"):
            if both := {**old["metadata"].get(name, {}), **body["metadata"].get(name, {})}:
                metadata[name] = both
        return self._put(path, {**old, "metadata": metadata, "spec": body["spec"]}, dry)

    def _put(self, path: str, body: Any, dry: bool) -> dict[str, Any]:
        old = self.objects[path]
        changed = json.dumps(old["spec"]) != json.dumps(body["spec"])
        return self._stored(path, body, old["metadata"]["generation"] + changed, dry)

    def _stored(self, path: str, body: Any, generation: int, dry: bool) -> dict[str, Any]:
        self.version += 1
        metadata = {**body["metadata"], "generation": generation, "resourceVersion": str(self.version)}
        stored = {**body, "metadata": metadata}
        if not dry:
            self.objects[path] = stored
        return stored

    def call_raw(self, method: str, path: str, *, raw: bytes | None = None, headers: Any = None) -> bytes:
        self.calls.append((method, path))
        digest = path.rpartition("/")[2]
        if method == "PUT":
            assert raw is not None
            self.artifacts[digest] = raw
        elif digest not in self.artifacts:
            raise NotFound(digest)
        return self.artifacts[digest] if method == "GET" else b""

    def stream(self, path: str, *, query: Any = None) -> Iterator[dict[str, Any]]:
        """The next prepared stream; an error in it is raised where it stands."""
        self.calls.append(("STREAM", path))
        for event in self.streams.pop(0):
            if isinstance(event, StatusError):
                raise event
            yield event


@pytest.fixture
def gateway() -> MemoryGateway:
    return MemoryGateway()
