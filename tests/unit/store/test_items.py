import json
from typing import Any

import pytest

from aspora.meta.errors import Invalid
from aspora.store.interface import Key, Write
from aspora.store.items import MAX_DEPTH, Item, are_independent, encoded
from aspora.store.payload import payload

KEY = Key("Skill", "ecm", "s")


def make(obj: Any, key: Key = KEY, **conditions: Any) -> Item:
    write = Write("create", key, obj, **conditions)
    return encoded(write, payload(write, uid="u-1", at="2026-01-01T00:00:00.000Z"))


def test_an_item_is_its_payload_in_json_and_knows_its_size() -> None:
    item = make({"spec": {"text": "ü \\u0000", "n": 1}})
    assert json.loads(item.text)["object"]["spec"] == {"text": "ü \\u0000", "n": 1}
    assert item.size_bytes == len(item.text.encode()) > len(item.text)


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"a": ["\x00"]}, "NUL"),
        ({"a\x00": 1}, "NUL"),
        ({"a": "\udc80"}, "surrogate"),
        ({"a": float("inf")}, "infinite"),
        ({"a": {1, 2}}, "set"),
        ({"a": b"x"}, "bytes"),
        ({"a": 10**5000}, "JSON"),
        (nested(MAX_DEPTH), "nested"),
        (nested(5000), "nested"),
    ],
)
def test_what_the_database_would_choke_on_is_refused(spec: Any, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        make({"spec": spec})


@pytest.mark.parametrize("spec", [nested(MAX_DEPTH - 5), {"a": [[] for _ in range(500)]}, {"a": "[" * 500}])
def test_deep_but_bearable_nesting_passes(spec: Any) -> None:
    make({"spec": spec})


def test_only_what_cannot_see_another_write_is_independent() -> None:
    home = Key("Domain", "", "ecm")
    a, b = make({}), make({}, Key("Skill", "ecm", "t"), lives_in=home)
    assert are_independent([a, b])
    assert not are_independent([a, b, make({}, home)])
    assert not are_independent([a, b, make({})])
    assert not are_independent([a, make({}, Key("Domain", "", "x"), empty_domain="x")])
