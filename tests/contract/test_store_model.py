"""Random histories: the store answers as a small model does, and a watch of the whole history rebuilds the end."""

import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aspora.meta.errors import AlreadyExists, Conflict, NotFound
from aspora.store.interface import Event, Write
from aspora.store.postgres import PostgresStore
from aspora.testing.store_suite.harness import Ward, take, version_of

from .test_store import running_store

NAMES = ("a", "b", "c")


class Model:
    """What the interface says, for one kind, in a few lines."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.uids: list[str] = ["never"]

    def refusal(self, write: Write) -> type[Exception] | None:
        present = self.objects.get(write.key.name)
        if write.op == "create":
            return AlreadyExists if present else None
        if present is None:
            return NotFound
        metadata = present["metadata"]
        if write.expected_uid not in {None, metadata["uid"]}:
            return Conflict
        return None if write.expected_version in {None, metadata["resourceVersion"]} else Conflict

    def take_in(self, write: Write, answer: Any, *, is_deleted: bool) -> bool:
        """Check the answer and remember it; whether it changed anything."""
        name = write.key.name
        old = self.objects.get(name)
        metadata = answer["metadata"]
        if old is None:
            self.uids.append(metadata["uid"])
            assert metadata["generation"] == 1
            assert "status" not in answer
        else:
            grown = int(write.op == "update" and answer.get("spec") != old.get("spec"))
            assert metadata["generation"] == old["metadata"]["generation"] + grown
            assert metadata["uid"] == old["metadata"]["uid"]
            self._check_parts(write, old, answer)
            assert is_deleted == self._ends(write, old)
            assert is_deleted or old == answer or unversioned(old) != unversioned(answer)
        changed = old is None or old != answer
        if is_deleted:
            del self.objects[name]
        else:
            self.objects[name] = answer
        return changed

    def _ends(self, write: Write, old: Any) -> bool:
        if write.op == "update":
            finalizers = ((write.object or {}).get("metadata") or {}).get("finalizers")
            return "deletionTimestamp" in old["metadata"] and not finalizers
        return write.op == "delete" and "finalizers" not in old["metadata"]

    def _check_parts(self, write: Write, old: Any, answer: Any) -> None:
        given = write.object or {}
        assert answer.get("spec") == (given.get("spec") if write.op == "update" else old.get("spec"))
        assert answer.get("status") == (given.get("status") if write.op == "update_status" else old.get("status"))
        labels = (given.get("metadata") or {}).get("labels") or None
        if write.op == "update":
            assert answer["metadata"].get("labels") == labels
        else:
            assert answer["metadata"].get("labels") == old["metadata"].get("labels")


def unversioned(obj: Any) -> Any:
    return {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}}


small = st.integers(0, 1)
form = st.fixed_dictionaries(
    {
        "spec": st.fixed_dictionaries({"n": small}),
        "status": st.none() | st.fixed_dictionaries({"s": small}),
        "metadata": st.fixed_dictionaries(
            {
                "labels": st.none() | st.fixed_dictionaries({"l": st.sampled_from("xy")}),
                "finalizers": st.sampled_from([None, [], ["f"]]),
            }
        ),
    }
)
step = st.tuples(
    st.sampled_from(["create", "update", "update_status", "delete"]),
    st.sampled_from(NAMES),
    form,
    st.sampled_from(["none", "present", "stale"]),
    st.sampled_from(["none", "present", "other"]),
)


def to_write(ward: Ward, model: Model, drawn: Any) -> Write:
    op, name, obj, version, uid = drawn
    metadata = model.objects.get(name, {}).get("metadata", {})
    return Write(
        op,
        ward.key(name),
        None if op == "delete" else obj,
        expected_version={"none": None, "present": metadata.get("resourceVersion"), "stale": "1"}[version],
        expected_uid={"none": None, "present": metadata.get("uid"), "other": model.uids[0]}[uid],
    )


async def run_history(store: PostgresStore, ward: Ward, batches: list[list[Any]]) -> None:
    model, changes, since = Model(), 0, await ward.version()
    for batch in batches:
        # Expectations are drawn from before the batch, as those of a client are.
        writes = [to_write(ward, model, drawn) for drawn in batch]
        for write, result in zip(writes, await store.write(writes), strict=True):
            refusal = model.refusal(write)
            assert (type(result.error) if result.error else None) == refusal
            if result.error is None:
                changes += model.take_in(write, result.object, is_deleted=result.is_deleted)
    listed = {obj["metadata"]["name"]: obj for obj in (await ward.list()).items}
    assert listed == model.objects
    assert {name: await store.get(ward.key(name)) for name in listed} == listed
    events = await take(ward.watch(since), changes)
    assert rebuilt(events) == listed
    versions = [int(version_of(event.object)) for event in events]
    assert versions == sorted(set(versions))


def rebuilt(events: list[Event]) -> dict[str, Any]:
    objects: dict[str, Any] = {}
    for event in events:
        name = event.object["metadata"]["name"]
        assert (name in objects) == (event.type != "ADDED")
        objects[name] = event.object
        if event.type == "DELETED":
            del objects[name]
    return objects


@pytest.fixture
async def store(dsn: str) -> Any:
    async with running_store(dsn) as running:
        yield running


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(step, min_size=1, max_size=6), min_size=1, max_size=8))
async def test_random_histories(store: PostgresStore, batches: list[list[Any]]) -> None:
    await run_history(store, Ward(store, f"K{uuid.uuid4().hex}"), batches)
