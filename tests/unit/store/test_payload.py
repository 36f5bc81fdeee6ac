from typing import Any

import pytest

from aspora.meta.errors import Invalid
from aspora.store.interface import Key, Write
from aspora.store.payload import payload

KEY = Key("Skill", "ecm", "s")


def make(op: Any, obj: Any = None, key: Key = KEY, **expected: Any) -> dict[str, Any]:
    return payload(Write(op, key, obj, **expected), uid="u-1", at="2026-01-01T00:00:00.000Z")


def test_a_create_says_only_what_a_client_may_say() -> None:
    metadata = {"name": "other", "domain": "other", "uid": "x", "generation": 5, "labels": {}, "annotations": None}
    item = make(
        "create", {"apiVersion": "aspora.dev/v1", "metadata": metadata, "spec": {"a": None}, "status": {"b": 1}}
    )
    assert item == {
        "op": "create",
        "kind": "Skill",
        "domain": "ecm",
        "name": "s",
        "at": "2026-01-01T00:00:00.000Z",
        "uid": "u-1",
        "object": {
            "apiVersion": "aspora.dev/v1",
            "kind": "Skill",
            "metadata": {"name": "s", "domain": "ecm"},
            "spec": {"a": None},
        },
    }


def test_an_object_of_the_cluster_has_no_domain() -> None:
    assert make("create", {"metadata": {"domain": "x"}}, Key("Model", "", "m"))["object"]["metadata"] == {"name": "m"}


def test_a_status_write_carries_the_status_alone() -> None:
    assert make("update_status", {"spec": {"a": 1}, "status": {"b": 1}})["object"] == {"status": {"b": 1}}
    assert make("update_status", {"spec": {"a": 1}})["object"] == {}


def test_expectations_are_carried_when_given() -> None:
    assert {"expectedVersion", "expectedUid", "object", "uid"}.isdisjoint(make("delete"))
    item = make("delete", expected_version="5", expected_uid="u")
    assert (item["expectedVersion"], item["expectedUid"]) == ("5", "u")
    assert {"livesIn", "emptyDomain"}.isdisjoint(item)
    item = make("create", {}, lives_in=Key("Domain", "", "ecm"), empty_domain="x")
    assert (item["livesIn"], item["emptyDomain"]) == ({"kind": "Domain", "domain": "", "name": "ecm"}, "x")


@pytest.mark.parametrize(
    "metadata", [{"labels": ["a"]}, {"labels": {"a": 1}}, {"finalizers": {"a": 1}}, {"finalizers": [1]}]
)
def test_metadata_that_selectors_and_finalizers_live_on_has_its_shape(metadata: Any) -> None:
    with pytest.raises(Invalid):
        make("create", {"metadata": metadata})


@pytest.mark.parametrize(
    "key", [Key("", "d", "n"), Key("K", "d", ""), Key("K", "d" * 254, "n"), Key("K", "", "ü" * 127)]
)
def test_keys_fit_their_index(key: Key) -> None:
    with pytest.raises(Invalid, match="1 to 253 bytes"):
        make("create", {}, key)


def test_a_write_needs_its_object() -> None:
    with pytest.raises(Invalid, match="'update' needs an object"):
        make("update")
