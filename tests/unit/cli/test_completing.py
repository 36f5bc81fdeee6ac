import io
from typing import Any

import pytest

from aspora.cli.app import Cli
from aspora.cli.completing import complete
from aspora.cli.output import Output
from aspora.meta.errors import Unavailable

RESOURCES = [
    {"name": "skills", "singularName": "skill", "kind": "Skill", "scope": "Domain"},
    {"name": "models", "singularName": "model", "kind": "Model", "scope": "Cluster"},
    {"name": "domains", "singularName": "domain", "kind": "Domain", "scope": "Cluster"},
]
OBJECTS = {
    "/api/v1/skills": [
        {"metadata": {"domain": "wealth", "name": "fx"}},
        {"metadata": {"domain": "fraud", "name": "v"}},
    ],
    "/api/v1/domains/wealth/skills": [{"metadata": {"domain": "wealth", "name": "fx"}}],
    "/api/v1/models": [{"metadata": {"name": "gpt-4o"}}],
    "/api/v1/domains": [{"metadata": {"name": "wealth"}}],
}


class FakeRest:
    timeout_seconds = 75.0

    def resources(self) -> list[dict[str, Any]]:
        return RESOURCES

    def resource(self, word: str) -> dict[str, Any]:
        found = [r for r in RESOURCES if word in (r["name"], r["singularName"])]
        if not found:
            raise ValueError("unknown kind")
        return found[0]

    def call(self, method: str, path: str, *, query: Any) -> dict[str, Any]:
        assert self.timeout_seconds < 5
        return {"items": OBJECTS[path]}


class FakeCli(Cli):
    def rest(self) -> Any:
        return FakeRest()


class Offline(Cli):
    def rest(self) -> Any:
        raise Unavailable("no server")


CLI = FakeCli(Output(io.StringIO(), io.StringIO()), None, {}, {})


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["desc"], ["describe"]),
        (["--h"], ["--help"]),
        (["get", ""], ["domains", "models", "skills"]),
        (["get", "sk"], ["skills"]),
        (["get", "skills", ""], ["fraud/v", "wealth/fx"]),
        (["get", "skills", "we"], ["wealth/fx"]),
        (["get", "-d", "wealth", "skills", ""], ["fx"]),
        (["get", "skill/we"], ["skill/wealth/fx"]),
        (["get", "models", "g"], ["gpt-4o"]),
        (["get", "skills", "-d", ""], ["wealth"]),
        (["get", "skills", "-o", "j"], ["json"]),
        (["get", "skills", "--sel"], ["--selector"]),
        (["run", "we"], ["wealth/fx"]),
        (["wait", "skill/wealth/fx", "--for", "c"], ["condition=Ready", "create"]),
        (["completion", ""], ["bash", "fish", "zsh"]),
        (["nothing", ""], []),
        (["get", "nothings", ""], []),
        (["apply", "-f", ""], []),
        ([], ["api-resources"]),
    ],
)
def test_what_may_come_next(words: list[str], expected: list[str]) -> None:
    found = complete(words, CLI)
    assert found[: len(expected)] == expected
    assert words == [] or found == expected


def test_without_a_server_nothing_is_said() -> None:
    offline = Offline(Output(io.StringIO(), io.StringIO()), None, {}, {})
    assert complete(["get", ""], offline) == []
    assert complete(["get", "skills", "-o", "y"], offline) == ["yaml"]
