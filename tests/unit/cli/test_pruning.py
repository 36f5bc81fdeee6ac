from collections.abc import Iterator
from typing import Any

import pytest

from aspora.cli.pruning import leftovers, prune
from aspora.meta.errors import Forbidden

ALL = ["get", "list", "watch", "create", "update", "patch", "delete"]
RESOURCES = [
    {"name": "domains", "singularName": "domain", "kind": "Domain", "scope": "Cluster", "verbs": ALL},
    {"name": "models", "singularName": "model", "kind": "Model", "scope": "Cluster", "verbs": ALL},
    {"name": "skills", "singularName": "skill", "kind": "Skill", "scope": "Domain", "verbs": ALL},
    {"name": "revisions", "singularName": "revision", "kind": "Revision", "scope": "Domain", "verbs": ["get", "list"]},
]


def obj(kind: str, name: str, *, domain: str = "", manager: str = "team", operation: str = "Apply", **more: Any) -> Any:
    entry = {"manager": manager, "operation": operation, "fields": {}}
    metadata = {"name": name, "uid": f"uid-{name}", "managedFields": [entry], **more}
    return {"kind": kind, "metadata": metadata | ({"domain": domain} if domain else {})}


class FakeRest:
    def __init__(self, lists: dict[str, list[Any]]) -> None:
        self.lists = lists
        self.hidden: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        self.deleted: list[tuple[str, Any]] = []

    def resources(self) -> list[dict[str, Any]]:
        return RESOURCES

    def items(self, path: str, *, query: Any) -> Iterator[Any]:
        if path in self.hidden:
            raise Forbidden(path)
        self.asked.append((path, query["labelSelector"]))
        return iter(self.lists.get(path, []))

    def call(self, method: str, path: str, *, query: Any) -> None:
        assert method == "DELETE"
        self.deleted.append((path, query))


def test_only_what_this_manager_applied_and_has_no_more_is_pruned() -> None:
    skills = [
        obj("Skill", "kept", domain="hr"),
        obj("Skill", "gone", domain="hr"),
        obj("Skill", "others", domain="hr", manager="else"),
        obj("Skill", "edited", domain="hr", operation="Update"),
        obj("Skill", "owned", domain="hr", ownerReferences=[{"kind": "Skill", "name": "x", "uid": "u"}]),
    ]
    domains = [obj("Domain", "hr"), obj("Domain", "old")]
    rest: Any = FakeRest({"/api/v1/skills": skills, "/api/v1/domains": domains})
    found = leftovers(rest, [obj("Domain", "hr"), obj("Skill", "kept", domain="hr")], manager="team", selector="a=b")
    assert [p.name for p in found.prunable] == ["skill/hr/gone", "domain/old"]
    assert (found.elsewhere, found.shared) == ([], [])
    assert {asked for _, asked in rest.asked} == {"a=b"}
    prune(rest, found.prunable[0], dry_run=True)
    assert rest.deleted == [("/api/v1/domains/hr/skills/gone", {"uid": "uid-gone", "dryRun": "All"})]


def test_what_lies_where_nothing_was_applied_is_told_and_goes_only_when_everywhere_is_meant() -> None:
    rest: Any = FakeRest(
        {
            "/api/v1/skills": [obj("Skill", "last", domain="hr"), obj("Skill", "kept", domain="it")],
            "/api/v1/models": [obj("Model", "big")],
        }
    )
    applied = [obj("Skill", "kept", domain="it")]

    def names(**where: Any) -> tuple[list[str], list[str]]:
        found = leftovers(rest, applied, manager="team", selector="", **where)
        return [p.name for p in found.prunable], found.elsewhere

    assert names() == ([], ["skill/hr/last", "model/big"])
    assert names(domain="hr") == (["skill/hr/last"], ["model/big"])
    assert names(everywhere=True) == (["skill/hr/last", "model/big"], [])


def test_what_another_manager_applies_too_stays() -> None:
    both = obj("Skill", "both", domain="it")
    both["metadata"]["managedFields"] += obj("Skill", "both", manager="else")["metadata"]["managedFields"]
    rest: Any = FakeRest({"/api/v1/skills": [both]})
    found = leftovers(rest, [obj("Skill", "kept", domain="it")], manager="team", selector="")
    assert (found.prunable, found.shared) == ([], ["skill/it/both"])


def test_who_may_not_see_every_domain_prunes_in_their_own() -> None:
    rest: Any = FakeRest({"/api/v1/domains/it/skills": [obj("Skill", "gone", domain="it")]})
    rest.hidden = {"/api/v1/skills", "/api/v1/models", "/api/v1/domains"}
    applied = [obj("Skill", "kept", domain="it")]
    assert [p.name for p in leftovers(rest, applied, manager="team", selector="").prunable] == ["skill/it/gone"]
    with pytest.raises(Forbidden):
        leftovers(rest, applied, manager="team", selector="", everywhere=True)
