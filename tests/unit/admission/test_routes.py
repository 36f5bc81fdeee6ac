"""Routes and the revisions they name."""

from collections.abc import Callable
from typing import Any

import pytest

from aspora.admission.interface import AdmissionPorts, AdmissionRequest
from aspora.admission.routes import Routes
from aspora.meta.errors import Conflict

Ask = Callable[..., AdmissionRequest]
Make = Callable[..., dict[str, Any]]


@pytest.fixture
def route(make: Make) -> Callable[..., dict[str, Any]]:
    def build(*revisions: str, skill: str = "s", **metadata: Any) -> dict[str, Any]:
        spec = {"skill": skill, "traffic": [{"revision": r, "shareBp": 10_000} for r in revisions]}
        return make("Route", f"{skill}.production", spec, domain="d", **metadata)

    return build


@pytest.fixture(autouse=True)
def objects(reader: Any, make: Make) -> None:
    reader.add(make("Skill", "s", {}, domain="d"))
    reader.add(make("Revision", "s-1111111111", {"skill": "s"}, domain="d", creationTimestamp="2026-01-01"))
    reader.add(make("Revision", "s-2222222222", {"skill": "s"}, domain="d", creationTimestamp="2026-01-02"))
    reader.add(make("Revision", "t-3333333333", {"skill": "t"}, domain="d"))


async def test_a_route_names_revisions_of_its_skill(ports: AdmissionPorts, ask: Ask, route: Make) -> None:
    plugin = Routes(ports)
    assert not (await plugin.validate(ask("Route", route()))).errors
    assert not (await plugin.validate(ask("Route", route("s-1111111111")))).errors
    review = await plugin.validate(ask("Route", route("s-1111111111", "../x", "t-3333333333", "s-1111111112")))
    found = {e.field: e.message for e in review.errors}
    assert list(found) == [f"spec.traffic[{i}].revision" for i in (1, 2, 3)]
    assert "known: s-1111111111, s-2222222222" in found["spec.traffic[1].revision"]
    assert "one of skill 't'" in found["spec.traffic[2].revision"]
    assert "did you mean 's-1111111111'" in found["spec.traffic[3].revision"]


async def test_a_route_that_points_nowhere_already_can_be_labelled(
    ports: AdmissionPorts, ask: Ask, route: Make
) -> None:
    old = route("s-0000000000")
    new = route("s-0000000000", labels={"a": "b"})
    assert not (await Routes(ports).validate(ask("Route", new, old=old))).errors


async def test_a_revision_that_serves_stays_until_its_skill_is_gone(
    ports: AdmissionPorts, ask: Ask, make: Make, reader: Any, route: Make
) -> None:
    plugin = Routes(ports)
    revision = make("Revision", "s-1111111111", {"skill": "s"}, domain="d")
    assert not (await plugin.validate(ask("Revision", None, old=revision))).errors
    reader.add(route("s-1111111111"))
    with pytest.raises(Conflict, match=r"route 's\.production'.*rollback d/s --to"):
        await plugin.validate(ask("Revision", None, old=revision))
    del reader.objects["Skill", "d", "s"]
    assert not (await plugin.validate(ask("Revision", None, old=revision))).errors
