"""What a path's `Allow` header promises is answered, and nothing else."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.gateway.conftest import Door, open_door

from aspora.apis.kind import Kind, Scope
from aspora.db.pool import Database
from aspora.meta.objects import ApiModel, ObjectStatus

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")


class Nothing(ApiModel):
    """No field."""


def sparse(name: str, scope: Scope, *verbs: str) -> Kind:
    plural = f"{name.lower()}s"
    return Kind(kind=name, plural=plural, scope=scope, spec=Nothing, status=ObjectStatus, verbs=frozenset(verbs))


SPARSE = [
    sparse("Onlyread", Scope.DOMAIN, "get", "list", "watch"),
    sparse("Onlymade", Scope.EITHER, "create", "list", "delete"),
    sparse("Onlykept", Scope.CLUSTER, "get", "update", "list"),
]


@pytest.fixture
async def door(database: Database, dsn: str, tmp_path: Path) -> AsyncIterator[Door]:
    async with open_door(database, dsn, tmp_path, more_kinds=SPARSE) as opened:
        yield opened


def paths_of(kind: Kind) -> dict[str, set[str]]:
    """Each path of a kind and the methods that it must answer."""
    places = {
        Scope.CLUSTER: ["/api/v1"],
        Scope.DOMAIN: ["/api/v1/domains/default"],
        Scope.EITHER: ["/api/v1", "/api/v1/domains/default"],
    }[kind.scope]
    lists = {"GET", "HEAD"} if kind.verbs & {"list", "watch"} else set[str]()
    found = {f"/api/v1/{kind.plural}": set(lists)}
    read = {"GET", "HEAD"} if "get" in kind.verbs else set[str]()
    by_verb = {"update": "PUT", "patch": "PATCH", "delete": "DELETE"}
    for place in places:
        found[f"{place}/{kind.plural}"] = lists | ({"POST"} if "create" in kind.verbs else set())
        found[f"{place}/{kind.plural}/nobody"] = read | {m for v, m in by_verb.items() if v in kind.verbs}
        found[f"{place}/{kind.plural}/nobody/status"] = read | ({"PUT"} if "update" in kind.verbs else set())
    return found


async def test_each_path_of_each_kind_answers_what_its_allow_header_names_and_no_other(door: Door) -> None:
    tried = 0
    for kind in door.parts.resources.kinds():
        for path, expected in paths_of(kind).items():
            for method in METHODS:
                answer: Any = await door.api.call(method, path)
                where = f"{method} {path}: {answer.status}"
                assert (answer.status == 405) == (method not in expected), where
                if answer.status == 405:
                    assert answer.headers["Allow"] == ", ".join(sorted(expected)), where
                    assert method == "HEAD" or answer.json()["reason"] == "MethodNotAllowed", where
                tried += 1
    assert tried > 500


async def test_paths_that_are_no_objects_of_a_kind_refuse_other_methods_as_well(door: Door) -> None:
    own = {"/api/v1": "GET", "/api/v1/whoami": "GET", "/api/v1/can-i": "POST", "/api/v1/explain/skills": "GET"}
    for path, allowed in own.items():
        for method in set(METHODS) - {"HEAD", allowed}:
            answer: Any = await door.api.call(method, path)
            assert answer.status == 405, f"{method} {path}: {answer.status}"
            assert allowed in answer.headers["Allow"]
