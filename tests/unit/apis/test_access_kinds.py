"""Domain, Role, RoleBinding and ApiKey: what is refused, and what never shows."""

from typing import Any

import pytest

from aspora.apis.builtins import load_kinds
from aspora.apis.decode import decode
from aspora.meta.errors import Invalid
from aspora.meta.objects import to_wire

KINDS = load_kinds()
CLUSTER_ROLE = {"name": "author"}


def check(kind: str, spec: dict[str, Any], *, domain: str | None = None) -> Any:
    metadata = {"name": "x", **({"domain": domain} if domain else {})}
    return decode(KINDS.load(kind), {"kind": kind, "metadata": metadata, "spec": spec})


GOOD = [
    ("Domain", {}, None),
    ("Domain", {"policyTier": "restricted", "models": {"field": ["gpt-4o-mini"]}, "monthlyBudgetMicroUsd": 1}, None),
    ("Role", {"rules": [{"verbs": ["*"], "kinds": ["*", "*/status", "skills/status"]}]}, None),
    ("Role", {"rules": [{"verbs": ["get", "cancel"], "kinds": ["executions"], "names": ["a"]}]}, "ecm"),
    ("RoleBinding", {"subjects": [{"name": "ann"}], "roleRef": CLUSTER_ROLE}, None),
    ("RoleBinding", {"roleRef": {"name": "own", "scope": "Domain"}}, "ecm"),
    ("ApiKey", {"owner": "ann", "expiresAt": "2027-01-01T00:00:00Z", "domains": ["ecm"]}, "ecm"),
    ("ApiKey", {"owner": "executor", "ownerKind": "system"}, None),
]
BAD = [
    ("Domain", {"policyTier": "lax"}, None, "spec.policyTier"),
    ("Domain", {"monthlyBudgetMicroUsd": -1}, None, "spec.monthlyBudgetMicroUsd"),
    ("Domain", {}, "ecm", "metadata.domain"),
    ("Role", {"rules": [{"verbs": ["gett"], "kinds": ["skills"]}]}, None, "spec.rules[0].verbs[0]"),
    ("Role", {"rules": [{"verbs": ["get"], "kinds": ["Skill"]}]}, None, "spec.rules[0].kinds[0]"),
    ("Role", {"rules": [{"verbs": [], "kinds": ["skills"]}]}, None, "spec.rules[0].verbs"),
    ("RoleBinding", {"roleRef": {"name": "own", "scope": "Domain"}}, None, "spec.roleRef.scope"),
    ("RoleBinding", {"subjects": [{"name": "a"}, {"name": "a"}], "roleRef": CLUSTER_ROLE}, None, "spec.subjects[1]"),
    ("RoleBinding", {}, None, "spec.roleRef"),
    ("ApiKey", {"owner": "ann", "expiresAt": "2027-01-01T00:00:00"}, None, "spec.expiresAt"),
    ("ApiKey", {"owner": "ann", "keyHash": "plain"}, None, "spec.keyHash"),
    ("ApiKey", {"owner": "ann", "domains": ["other"]}, "ecm", "spec.domains"),
]


@pytest.mark.parametrize(("kind", "spec", "domain"), GOOD)
def test_good_ones(kind: str, spec: dict[str, Any], domain: str | None) -> None:
    found = KINDS.load(kind)
    wire = to_wire(check(kind, spec, domain=domain))
    assert all(isinstance(c.cell(wire), str) for c in found.columns)
    assert found.describe(wire)


@pytest.mark.parametrize(("kind", "spec", "domain", "field"), BAD)
def test_bad_ones(kind: str, spec: dict[str, Any], domain: str | None, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        check(kind, spec, domain=domain)
    assert field in [d.field for d in caught.value.details]


def test_a_binding_keeps_its_role() -> None:
    old, new = (check("RoleBinding", {"roleRef": {"name": name}}) for name in ("a", "b"))
    kind = KINDS.load("RoleBinding")
    assert [e.field for e in kind.validate_update(old, new)] == ["spec.roleRef"]
    assert not kind.validate_update(old, old)


def test_a_key_keeps_its_owner_and_hash_and_never_shows_it() -> None:
    hashes = ["sha256:" + digit * 64 for digit in "ab"]
    old, new = (check("ApiKey", {"owner": o, "keyHash": h}) for o, h in zip(["ann", "bob"], hashes, strict=True))
    kind = KINDS.load("ApiKey")
    assert [e.field for e in kind.validate_update(old, new)] == ["spec.owner", "spec.keyHash"]
    assert kind.hidden == ("spec.keyHash",)
    shown = repr(kind.describe(to_wire(old))) + repr([c.cell(to_wire(old)) for c in kind.columns])
    assert hashes[0] not in shown
