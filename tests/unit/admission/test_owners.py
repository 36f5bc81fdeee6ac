"""Owner references."""

from collections.abc import Callable
from typing import Any

from aspora.admission.interface import AdmissionPorts, AdmissionRequest
from aspora.admission.owners import Owners

Ask = Callable[..., AdmissionRequest]
Make = Callable[..., dict[str, Any]]


def owner(kind: str = "Skill", name: str = "s", uid: str = "u", **more: Any) -> dict[str, Any]:
    return {"kind": kind, "name": name, "uid": uid, **more}


async def problems(plugin: Owners, request: AdmissionRequest) -> list[str]:
    return [str(error) for error in (await plugin.validate(request)).errors]


async def test_an_owner_is_of_a_known_kind_in_the_same_domain_or_cluster_wide(
    ports: AdmissionPorts, ask: Ask, make: Make
) -> None:
    plugin = Owners(ports)
    for good in (owner(), owner("Domain", "d"), owner("ApiKey", "k")):
        assert not await problems(plugin, ask("Route", make("Route", "r", {}, domain="d", ownerReferences=[good])))
    [unknown] = await problems(
        plugin, ask("Route", make("Route", "r", {}, domain="d", ownerReferences=[owner("Skil")]))
    )
    assert "did you mean 'Skill'" in unknown
    [misplaced] = await problems(plugin, ask("Model", make("Model", "m", {}, ownerReferences=[owner()])))
    assert "lives in a domain" in misplaced


async def test_nothing_owns_itself_twice_or_with_two_controllers(ports: AdmissionPorts, ask: Ask, make: Make) -> None:
    plugin = Owners(ports)
    itself = make("Skill", "s", {}, domain="d", ownerReferences=[owner()])
    assert "owns itself" in (await problems(plugin, ask("Skill", itself)))[0]
    twice = make("Route", "r", {}, domain="d", ownerReferences=[owner(controller=True), owner(controller=True)])
    found = await problems(plugin, ask("Route", twice))
    assert "ownerReferences[1].uid" in found[0]
    assert "only one owner" in found[1]


async def test_what_was_there_before_passes(ports: AdmissionPorts, ask: Ask, make: Make) -> None:
    old = make("Route", "r", {}, domain="d", ownerReferences=[owner("NoSuchKind")])
    new = make("Route", "r", {}, domain="d", ownerReferences=[owner("NoSuchKind")], labels={"a": "b"})
    assert not await problems(Owners(ports), ask("Route", new, old=old))
