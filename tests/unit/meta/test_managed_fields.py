"""Server-side apply without a server: sets of fields, and who owns what."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aspora.meta.field_sets import from_tree, prefixes, shown, to_tree
from aspora.meta.managed_fields import (
    ALGEBRA,
    ANCIENT_CHANGES,
    BEFORE_FIRST_APPLY,
    MAX_MANAGED_BYTES,
    MAX_UPDATERS,
    Managed,
    Ownership,
    after_apply,
    after_update,
    conflicts,
    is_too_large,
    known_or_unclaimed,
    merge_applied,
    ownership_wire,
    read_ownership,
)

NAMES = st.sampled_from(["a", "b", "c", "aspora.dev/x", "f:odd", "."])
SCALARS = st.one_of(st.integers(0, 3), st.booleans(), st.sampled_from(["x", "y", ""]), st.none())
TREES = st.recursive(
    st.one_of(SCALARS, st.lists(SCALARS, max_size=2)),
    lambda children: st.dictionaries(NAMES, children, max_size=3),
    max_leaves=8,
)
OWNERS = st.lists(
    st.builds(lambda u, n: {"uid": u, "name": n}, st.sampled_from("123"), st.sampled_from("pq")),
    max_size=3,
    unique_by=lambda o: o["uid"],
)
METADATA = st.fixed_dictionaries(
    {},
    optional={
        "labels": st.dictionaries(NAMES, st.sampled_from(["1", "2"]), min_size=1, max_size=3),
        "finalizers": st.lists(st.sampled_from(["f", "g", "h"]), min_size=1, max_size=3, unique=True),
        "ownerReferences": OWNERS.filter(bool),
    },
)


def _without_empty(obj: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in obj.items() if v}


OBJECTS = st.fixed_dictionaries({"metadata": METADATA, "spec": st.dictionaries(NAMES, TREES, max_size=3)}).map(
    _without_empty
)
MANAGERS = st.sampled_from(["ann", "bob", "cli"])


class World:
    """One object and its ownership, changed as the server would change it (with no admission between)."""

    def __init__(self) -> None:
        self.object: Any = {}
        self.ownership: Ownership = ()

    def conflicts(self, manager: str, config: Any) -> list[str]:
        new = merge_applied(self.ownership, self.object, config, manager=manager)
        applied = ALGEBRA.fields_of(config)
        found = conflicts(self.ownership, self.object, new, manager=manager, applied=applied)
        return [shown(c.path) for c in found]

    def apply(self, manager: str, config: Any) -> None:
        applied = ALGEBRA.fields_of(config)
        new = merge_applied(self.ownership, self.object, config, manager=manager)
        self.ownership = after_apply(self.ownership, self.object, new, manager=manager, applied=applied)
        self.object = new

    def update(self, manager: str, new: Any) -> None:
        named = ALGEBRA.fields_of(new)
        self.ownership = after_update(self.ownership, self.object, new, manager=manager, named=named)
        self.object = new

    def owners(self, *path: str) -> set[str]:
        return {f"{e.manager}/{e.operation}" for e in self.ownership if path in e.fields}


ACTS = st.lists(st.tuples(st.sampled_from(["apply", "update"]), MANAGERS, OBJECTS), max_size=5)


def world_after(acts: list[tuple[str, str, Any]]) -> World:
    world = World()
    for act, manager, obj in acts:
        (world.apply if act == "apply" else world.update)(manager, obj)
    return world


@given(OBJECTS)
def test_a_set_survives_its_wire_form(obj: Any) -> None:
    fields = ALGEBRA.fields_of(obj)
    assert from_tree(to_tree(fields)) == fields


@given(OBJECTS, OBJECTS)
def test_comparing_finds_exactly_what_differs(old: Any, new: Any) -> None:
    changes = ALGEBRA.compare(old, new)
    there = ALGEBRA.fields_of(new)
    assert changes.changed <= prefixes(there)  # a map in a value's place counts itself
    untouched = ALGEBRA.fields_of(new) - changes.changed
    assert untouched <= ALGEBRA.fields_of(old)
    again = ALGEBRA.compare(new, copy.deepcopy(new))
    assert not again.changed
    assert not again.removed


@given(ACTS, MANAGERS, OBJECTS)
@settings(max_examples=60)
def test_applying_the_same_again_changes_nothing(acts: Any, manager: str, config: Any) -> None:
    world = world_after(acts)
    world.apply(manager, config)
    before = copy.deepcopy(world.object), world.ownership
    assert world.conflicts(manager, config) == []
    world.apply(manager, config)
    assert (world.object, world.ownership) == before


@given(ACTS, MANAGERS, OBJECTS)
@settings(max_examples=60)
def test_what_was_applied_is_there_and_owned(acts: Any, manager: str, config: Any) -> None:
    world = world_after(acts)
    world.apply(manager, config)
    assert not ALGEBRA.compare(config, ALGEBRA.merge(world.object, config)).removed
    mine = {e.fields for e in world.ownership if (e.manager, e.operation) == (manager, "Apply")}
    assert mine == ({ALGEBRA.fields_of(config)} if config else set())


@given(ACTS)
@settings(max_examples=60)
def test_nobody_owns_what_is_not_there(acts: Any) -> None:
    world = world_after(acts)
    there = {path[:n] for path in ALGEBRA.fields_of(world.object) for n in range(1, len(path) + 1)}
    for entry in world.ownership:
        assert entry.fields
        assert entry.fields <= there


@given(ACTS, MANAGERS, OBJECTS)
@settings(max_examples=60)
def test_an_apply_without_conflict_takes_no_value_from_another(acts: Any, manager: str, config: Any) -> None:
    world = world_after(acts)
    others = {(e.manager, e.operation): e.fields for e in world.ownership if e.manager != manager}
    before = world.object
    if world.conflicts(manager, config):
        return
    world.apply(manager, config)
    after = {(e.manager, e.operation): e.fields for e in world.ownership if e.manager != manager}
    assert after == others
    changes = ALGEBRA.compare(before, world.object)
    assert not any(changes.touches(fields) for fields in others.values())


@given(ACTS, MANAGERS, OBJECTS)
@settings(max_examples=60)
def test_force_ends_every_conflict(acts: Any, manager: str, config: Any) -> None:
    world = world_after(acts)
    world.apply(manager, config)
    changes = ALGEBRA.compare(world.object, ALGEBRA.merge(world.object, config))
    assert not changes.changed
    assert not changes.removed
    assert world.conflicts(manager, config) == []


@given(ACTS, MANAGERS, OBJECTS)
def test_ownership_survives_its_wire_form(acts: Any, manager: str, config: Any) -> None:
    world = world_after([*acts, ("apply", manager, config)])
    assert read_ownership(ownership_wire(world.ownership)) == world.ownership


@given(MANAGERS, OBJECTS, OBJECTS)
def test_what_only_the_manager_owned_goes_when_it_is_left_out(manager: str, first: Any, second: Any) -> None:
    world = World()
    world.apply(manager, first)
    world.apply(manager, second)
    assert ALGEBRA.fields_of(world.object) - {("f:metadata",), ("f:spec",)} == ALGEBRA.fields_of(second)


def labelled(**labels: str) -> dict[str, Any]:
    return {"metadata": {"labels": labels}}


def test_a_field_left_out_goes_unless_another_owns_it_too() -> None:
    world = World()
    world.apply("ann", labelled(a="1", b="1"))
    world.apply("bob", labelled(b="1"))
    assert world.owners("f:metadata", "f:labels", "f:b") == {"ann/Apply", "bob/Apply"}
    world.apply("ann", labelled(c="1"))
    assert world.object == labelled(b="1", c="1")
    world.apply("bob", {})
    assert world.object == labelled(c="1")


def test_a_conflict_lists_every_field_at_once_with_its_owners() -> None:
    world = World()
    world.apply("ann", {"spec": {"x": 1, "y": [1, 2], "z": {"deep": True}, "same": 1}})
    world.apply("bob", {"spec": {"x": 1}})
    config = {"spec": {"x": 2, "y": [2, 1], "z": {"deep": False}, "same": 1, "new": 1}}
    new = merge_applied(world.ownership, world.object, config, manager="cat")
    found = conflicts(world.ownership, world.object, new, manager="cat", applied=ALGEBRA.fields_of(config))
    assert {shown(c.path): c.managers for c in found} == {
        "spec.x": ("ann", "bob"),
        "spec.y": ("ann",),
        "spec.z.deep": ("ann",),
    }


def test_force_takes_ownership() -> None:
    world = World()
    world.apply("ann", labelled(a="1"))
    assert world.conflicts("bob", labelled(a="2")) == ["metadata.labels.a"]
    world.apply("bob", labelled(a="2"))
    assert world.owners("f:metadata", "f:labels", "f:a") == {"bob/Apply"}
    assert world.conflicts("ann", labelled(a="1")) == ["metadata.labels.a"]


def test_an_update_takes_what_it_changes_and_nothing_else() -> None:
    world = World()
    world.apply("ann", labelled(a="1", b="1"))
    world.update("ctl", labelled(a="2", b="1"))
    assert world.owners("f:metadata", "f:labels", "f:a") == {"ctl/Update"}
    assert world.owners("f:metadata", "f:labels", "f:b") == {"ann/Apply"}
    assert world.conflicts("ann", labelled(a="1", b="1")) == ["metadata.labels.a"]
    world.update("ctl", labelled(a="2"))
    assert world.owners("f:metadata", "f:labels", "f:b") == set()


def test_what_nobody_said_belongs_to_nobody() -> None:
    """Defaults that the server fills in are free for whoever applies a value first."""
    named = ALGEBRA.fields_of({"spec": {"x": 1}})
    ownership = after_update((), {}, {"spec": {"x": 1, "default": 30}}, manager="ann", named=named)
    assert [(e.manager, e.fields) for e in ownership] == [("ann", frozenset({("f:spec", "f:x")}))]


def test_an_update_without_a_change_claims_nothing() -> None:
    assert after_update((), {"spec": {"x": 1}}, {"spec": {"x": 1}}, manager="ann", named=frozenset()) == ()


def test_ones_own_update_is_no_conflict_and_becomes_an_apply() -> None:
    world = World()
    world.update("ann", labelled(a="1", b="1"))
    assert world.conflicts("ann", labelled(a="2", b="1")) == []
    world.apply("ann", labelled(a="2", b="1"))
    assert {(e.manager, e.operation) for e in world.ownership} == {("ann", "Apply")}


def test_what_was_there_before_conflicts_where_it_differs_and_gives_way_where_not() -> None:
    world = World()
    world.object = {"metadata": {"labels": {"a": "1", "b": "1", "c": "1"}}}
    world.ownership = known_or_unclaimed((), world.object)
    assert world.conflicts("ann", labelled(a="1", b="2")) == ["metadata.labels.b"]
    world.apply("ann", labelled(a="1", b="2"))
    assert world.owners("f:metadata", "f:labels", "f:a") == {"ann/Apply"}
    assert world.owners("f:metadata", "f:labels", "f:c") == {f"{BEFORE_FIRST_APPLY}/Update"}
    world.apply("ann", {})
    assert world.object == labelled(c="1")


def test_finalizers_are_a_set_and_owners_go_by_uid() -> None:
    world = World()
    owner = {"kind": "Skill", "name": "s", "uid": "1"}
    world.apply("ann", {"metadata": {"finalizers": ["a"], "ownerReferences": [owner]}})
    world.apply("ctl", {"metadata": {"finalizers": ["b"], "ownerReferences": [{"uid": "2", "name": "t"}]}})
    assert world.object["metadata"]["finalizers"] == ["a", "b"]
    world.apply("ann", {"metadata": {"ownerReferences": [{**owner, "name": "other"}]}})
    assert world.object["metadata"]["finalizers"] == ["b"]
    assert [o["name"] for o in world.object["metadata"]["ownerReferences"]] == ["other", "t"]
    assert world.conflicts("eve", {"metadata": {"ownerReferences": [{"uid": "2", "name": "u"}]}}) == [
        'metadata.ownerReferences[{"uid":"2"}].name'
    ]


def test_an_item_that_another_has_a_part_of_keeps_its_name() -> None:
    world = World()
    world.apply("bob", {"metadata": {"ownerReferences": [{"uid": "1", "name": "p"}]}})
    world.update("ann", {"metadata": {"ownerReferences": [{"uid": "1", "name": "q"}]}})
    world.apply("bob", {})
    assert world.object == {"metadata": {"ownerReferences": [{"uid": "1", "name": "q"}]}}


def test_a_value_in_place_of_a_map_that_another_filled_is_a_conflict() -> None:
    world = World()
    world.apply("ann", {"spec": {"x": {"y": 1}}})
    assert world.conflicts("bob", {"spec": {"x": 1}}) == ["spec.x.y"]
    world.apply("bob", {"spec": {"x": 1}})
    assert world.object == {"spec": {"x": 1}}
    assert world.conflicts("ann", {"spec": {"x": {"y": 1}}}) == ["spec.x"]


def test_a_map_that_another_emptied_is_still_owned_by_who_applied_it_empty() -> None:
    world = World()
    world.apply("bob", {"spec": {"x": {}}})
    world.apply("ann", {"spec": {"x": {"y": 1}}})
    world.apply("ann", {})
    assert world.object == {"spec": {"x": {}}}
    assert world.owners("f:spec", "f:x") == {"bob/Apply"}
    assert world.conflicts("ann", {"spec": {"x": {}}}) == []
    world.apply("bob", {})
    assert world.object["spec"] == {}


def test_one_is_not_true() -> None:
    assert ALGEBRA.compare({"spec": {"x": 1}}, {"spec": {"x": True}}).changed == {("f:spec", "f:x")}
    assert ALGEBRA.compare({"spec": {"x": [1]}}, {"spec": {"x": [True]}}).changed == {("f:spec", "f:x")}


def test_the_oldest_of_many_updaters_are_folded_into_one() -> None:
    world = World()
    for i in range(MAX_UPDATERS + 5):
        world.update(f"m{i:02}", labelled(**{f"l{j}": "1" for j in range(i + 1)}))
    names = [e.manager for e in world.ownership]
    assert names == [ANCIENT_CHANGES, *(f"m{i:02}" for i in range(5, MAX_UPDATERS + 5))]
    assert world.owners("f:metadata", "f:labels", "f:l2") == {f"{ANCIENT_CHANGES}/Update"}
    assert world.conflicts("ann", labelled(l2="2")) == ["metadata.labels.l2"]


def test_ownership_never_outgrows_its_cap_by_updates_and_says_so_for_applies() -> None:
    huge = {"spec": {f"key-{i:06}": 1 for i in range(MAX_MANAGED_BYTES // 16)}}
    world = World()
    world.update("ann", huge)
    assert world.ownership == ()
    world.apply("ann", huge)
    assert is_too_large(world.ownership)


UNREADABLE = [
    None,
    "x",
    [1],
    [{}],
    [{"manager": 1, "operation": "Apply", "fields": {}}],
    [{"manager": "a", "operation": "Own", "fields": {"f:a": {}}}],
    [{"manager": "a", "operation": "Apply", "fields": {"x": {}, "f:b": 3}}],
]


@pytest.mark.parametrize("entries", UNREADABLE)
def test_entries_that_cannot_be_read_own_nothing(entries: Any) -> None:
    assert read_ownership(entries) == ()


def test_an_entry_on_the_wire() -> None:
    fields = ALGEBRA.fields_of({"metadata": {"finalizers": ["x"], "ownerReferences": [{"uid": "1", "name": "n"}]}})
    assert Managed("ann", "Apply", fields).to_wire() == {
        "manager": "ann",
        "operation": "Apply",
        "fields": {
            "f:metadata": {
                "f:finalizers": {'v:"x"': {}},
                "f:ownerReferences": {'k:{"uid":"1"}': {".": {}, "f:name": {}, "f:uid": {}}},
            }
        },
    }
