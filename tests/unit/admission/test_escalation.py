"""Nobody grants what they lack."""

from collections.abc import Callable
from typing import Any

import pytest

from aspora.access.defaults import default_roles
from aspora.access.grants import roles_of_key
from aspora.access.interface import ANY, Caller, Grant
from aspora.admission.escalation import Escalation
from aspora.admission.interface import AdmissionPorts, AdmissionRequest
from aspora.meta.errors import Forbidden

Ask = Callable[..., AdmissionRequest]
Make = Callable[..., dict[str, Any]]

OWNER = Caller("olga", "user", (Grant("fraud", frozenset({ANY}), frozenset({ANY})),), key="olga")


@pytest.fixture(autouse=True)
def _roles(reader: Any) -> None:
    for role in default_roles():
        reader.add(role)


def binding(make: Make, role: str, *subjects: str, domain: str | None = None, kind: str = "user") -> dict[str, Any]:
    spec = {"subjects": [{"kind": kind, "name": s} for s in subjects], "roleRef": {"name": role}}
    return make("RoleBinding", f"b-{role}", spec, domain=domain)


@pytest.mark.parametrize(
    ("role", "domain", "allowed"),
    [
        ("author", "fraud", True),
        ("viewer", "fraud", True),
        ("domain-owner", "fraud", True),
        ("platform-admin", "fraud", False),
        ("system-controller", "fraud", False),
        ("viewer", None, False),
        ("viewer", "ecm", False),
    ],
)
async def test_an_owner_binds_what_lies_within_their_domain(
    ports: AdmissionPorts, ask: Ask, make: Make, role: str, domain: str | None, *, allowed: bool
) -> None:
    request = ask("RoleBinding", binding(make, role, "bob", domain=domain), caller=OWNER)
    if allowed:
        assert not (await Escalation(ports).validate(request)).errors
    else:
        with pytest.raises(Forbidden, match="can't give what they don't hold"):
            await Escalation(ports).validate(request)


async def test_a_role_with_more_than_its_writer_has(ports: AdmissionPorts, ask: Ask, make: Make) -> None:
    mild = make("Role", "mild", {"rules": [{"verbs": ["get"], "kinds": ["skills"]}]}, domain="fraud")
    assert not (await Escalation(ports).validate(ask("Role", mild, caller=OWNER))).errors
    for sharp in (
        make("Role", "sharp", {"rules": [{"verbs": ["update"], "kinds": ["skills/status"]}]}, domain="fraud"),
        make("Role", "sharp", {"rules": [{"verbs": ["get"], "kinds": ["skills"]}]}),
    ):
        with pytest.raises(Forbidden):
            await Escalation(ports).validate(ask("Role", sharp, caller=OWNER))


async def test_an_unknown_role_and_a_forged_name_are_field_errors(ports: AdmissionPorts, ask: Ask, make: Make) -> None:
    review = await Escalation(ports).validate(
        ask("RoleBinding", binding(make, "authr", "system:executor", domain="fraud"))
    )
    assert [e.field for e in review.errors] == ["spec.subjects[0].name", "spec.roleRef.name"]


async def test_only_the_platforms_own_give_to_its_processes(ports: AdmissionPorts, ask: Ask, make: Make) -> None:
    given = binding(make, "viewer", "executor", domain="fraud", kind="system")
    with pytest.raises(Forbidden, match="own processes"):
        await Escalation(ports).validate(ask("RoleBinding", given, caller=OWNER))
    assert not (await Escalation(ports).validate(ask("RoleBinding", given))).errors
    key = make("ApiKey", "k", {"owner": "aspora", "ownerKind": "system"}, domain="fraud")
    with pytest.raises(Forbidden, match="own processes"):
        await Escalation(ports).validate(ask("ApiKey", key, caller=OWNER))


async def test_a_key_for_somebody_who_may_more_is_refused(
    ports: AdmissionPorts, reader: Any, ask: Ask, make: Make
) -> None:
    reader.add(binding(make, "platform-admin", "root"))
    for spec, domain in (({"owner": "root"}, None), ({"owner": "root"}, "fraud")):
        with pytest.raises(Forbidden):
            await Escalation(ports).validate(ask("ApiKey", make("ApiKey", "k", spec, domain=domain), caller=OWNER))
    reader.add(binding(make, "author", "bob", domain="fraud"))
    key = make("ApiKey", "k", {"owner": "bob", "roles": ["author", "nosuch"]}, domain="fraud")
    review = await Escalation(ports).validate(ask("ApiKey", key, caller=OWNER))
    assert not review.errors
    assert "'nosuch'" in review.warnings[0]


async def test_a_key_narrows_its_owner(reader: Any, make: Make) -> None:
    reader.add(binding(make, "viewer", "bob"))
    reader.add(binding(make, "author", "bob", domain="fraud"))
    reader.add(binding(make, "operator", "bob", domain="ecm"))

    async def roles(spec: dict[str, Any], domain: str | None = None) -> list[str]:
        key = make("ApiKey", "k", {"owner": "bob", **spec}, domain=domain)
        return sorted(str(role) for role in await roles_of_key(reader, key))

    assert await roles({}) == ["author@fraud", "operator@ecm", "viewer"]
    assert await roles({"roles": ["viewer"]}) == ["viewer"]
    assert await roles({"domains": ["fraud"]}) == ["author@fraud", "viewer@fraud"]
    assert await roles({}, "ecm") == ["operator@ecm", "viewer@ecm"]
    assert await roles({"roles": ["author"]}, "ecm") == []
    assert await roles({"owner": "eve"}) == []
    assert await roles({"ownerKind": "system"}) == []
