from collections.abc import Iterator
from typing import Any

from aspora.cli.pruning import prunable, prune

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
        self.asked: list[tuple[str, str]] = []
        self.deleted: list[tuple[str, Any]] = []

    def resources(self) -> list[dict[str, Any]]:
        return RESOURCES

    def items(self, path: str, *, query: Any) -> Iterator[Any]:
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
    rest: Any = FakeRest({"/api/v1/domains/hr/skills": skills, "/api/v1/domains": domains})
    found = prunable(rest, [obj("Domain", "hr"), obj("Skill", "kept", domain="hr")], manager="team", selector="a=b")
    assert [p.name for p in found] == ["skill/hr/gone", "domain/old"]
    assert rest.asked == [("/api/v1/domains/hr/skills", "a=b"), ("/api/v1/domains", "a=b")]
    prune(rest, found[0], dry_run=True)
    assert rest.deleted == [("/api/v1/domains/hr/skills/gone", {"uid": "uid-gone", "dryRun": "All"})]


def test_cluster_wide_kinds_that_were_not_applied_are_not_looked_at() -> None:
    rest: Any = FakeRest({})
    assert prunable(rest, [obj("Skill", "kept", domain="hr")], manager="team", selector="") == []
    assert [path for path, _ in rest.asked] == ["/api/v1/domains/hr/skills"]
