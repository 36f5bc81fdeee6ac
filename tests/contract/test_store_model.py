"""Random histories: the store answers as a small model does, and a watch from any place in them rebuilds the end.

Several callers write lists at the same time, now and then all history up to now is forgotten, and the server is killed
and comes back: a few times by default, often with ASPORA_TEST_FAULTS=full.
"""

import asyncio
import copy
import itertools
import os
import signal
import uuid
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from aspora.db.embedded import EmbeddedPostgres
from aspora.db.migrate import migrate
from aspora.db.pool import Database
from aspora.meta.errors import AlreadyExists, Conflict, Expired, NotFound
from aspora.store.interface import Event, Write, WriteResult
from aspora.store.maintenance import maintain
from aspora.store.postgres import PostgresStore
from aspora.testing.folders import throwaway_folder
from aspora.testing.postgres import fast_folder
from aspora.testing.store_suite.harness import Ward, take, version_of

from .test_store import running_store

IS_FULL = os.environ.get("ASPORA_TEST_FAULTS") == "full"
NAMES = ("a", "b", "c")
JUMP = 1_000_000
"""How far versions jump at least when the server starts again."""

Act = Callable[[], Awaitable[None]]


class Model:
    """What the interface says, for one kind, in a few lines."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.uids: list[str] = ["never"]
        self.changes = 0
        self.versions: list[int] = []

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
        if changed:
            self.versions.append(int(version_of(answer)))
        if is_deleted:
            del self.objects[name]
        else:
            self.objects[name] = answer
        return changed

    def _ends(self, write: Write, old: Any) -> bool:
        if write.op == "update":
            finalizers = ((write.object or {}).get("metadata") or {}).get("finalizers")
            return "deletionTimestamp" in old["metadata"] and not finalizers
        return write.op == "delete" and "finalizers" not in old["metadata"] and write.finalizer is None

    def _check_parts(self, write: Write, old: Any, answer: Any) -> None:
        given = write.object or {}
        assert answer.get("spec") == (given.get("spec") if write.op == "update" else old.get("spec"))
        assert answer.get("status") == (given.get("status") if write.op == "update_status" else old.get("status"))
        labels = (given.get("metadata") or {}).get("labels") or None
        if write.op == "update":
            assert answer["metadata"].get("labels") == labels
        else:
            assert answer["metadata"].get("labels") == old["metadata"].get("labels")
            assert answer["metadata"].get("finalizers", []) == self._finalizers(write, old)

    def _finalizers(self, write: Write, old: Any) -> list[str]:
        """After anything but an update: a delete adds its own, unless the object is being deleted already."""
        held: list[str] = old["metadata"].get("finalizers", [])
        is_first = write.op == "delete" and "deletionTimestamp" not in old["metadata"]
        is_added = is_first and write.finalizer is not None and write.finalizer not in held
        return [*held, *([write.finalizer] if is_added and write.finalizer else [])]


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
    st.sampled_from([None, "f", "g"]),
)


def to_write(ward: Ward, model: Model, drawn: Any) -> Write:
    op, name, obj, version, uid, finalizer = drawn
    metadata = model.objects.get(name, {}).get("metadata", {})
    return Write(
        op,
        ward.key(name),
        None if op == "delete" else obj,
        expected_version={"none": None, "present": metadata.get("resourceVersion"), "stale": "1"}[version],
        expected_uid={"none": None, "present": metadata.get("uid"), "other": model.uids[0]}[uid],
        finalizer=finalizer if op == "delete" else None,
    )


@dataclass
class Place:
    """What was there at a version."""

    version: str
    objects: dict[str, Any]
    changes: int = 0
    is_forgotten: bool = False


def after(model: Model, callers: Sequence[Sequence[Write]], answers: Sequence[Sequence[WriteResult]]) -> Model | None:
    """The model once the callers have written one after another in this order; None when it can't have been so."""
    model = copy.deepcopy(model)
    for writes, results in zip(callers, answers, strict=True):
        for write, result in zip(writes, results, strict=True):
            refusal = model.refusal(write)
            if (type(result.error) if result.error else None) != refusal:
                return None
            if result.error is None:
                try:
                    model.changes += model.take_in(write, result.object, is_deleted=result.is_deleted)
                except AssertionError:
                    return None
    return model


async def write_at_once(store: PostgresStore, model: Model, callers: Sequence[Sequence[Write]]) -> Model:
    """Write as several callers at the same time; some order of them must explain all answers and all versions."""
    answers = await asyncio.gather(*(store.write(writes) for writes in callers))
    for order in itertools.permutations(range(len(callers))):
        found = after(model, [callers[i] for i in order], [answers[i] for i in order])
        if found is not None and found.versions == sorted(found.versions):
            return found
    raise AssertionError(f"no order of the callers explains the answers: {callers} → {answers}")


async def never(*_: object) -> None:
    raise AssertionError("no round does that here")


async def run_history(
    store: PostgresStore, ward: Ward, rounds: list[Any], *, forget: Act, restart: Act = never
) -> None:
    """Each round: callers that write at once, then what becomes of the server: `forget`, `restart` or nothing."""
    model = Model()
    places = [Place(await ward.version(), {})]
    starts = [0]
    for callers, fate in rounds:
        # Expectations are drawn from before the round, as those of clients are.
        drawn = [[to_write(ward, model, step) for step in writes] for writes in callers]
        known = len(model.versions)
        model = await write_at_once(store, model, drawn)
        if starts[-1] == known and known and model.versions[known:]:
            check_jump(model, known)
        version = await ward.version()
        if fate == "restart":
            await restart()
            assert await ward.version() == version
            starts.append(len(model.versions))
        if fate == "forget":
            await forget()
            for place in places:
                place.is_forgotten = place.is_forgotten or int(place.version) < int(version)
        places.append(Place(version, dict(model.objects), model.changes))
    listed = {obj["metadata"]["name"]: obj for obj in (await ward.list()).items}
    assert listed == model.objects
    assert {name: await store.get(ward.key(name)) for name in listed} == listed
    for place in places:
        await check_watch(ward, place, model)
    for start in starts[1:]:
        await check_gap(ward, model, start)


def check_jump(model: Model, start: int) -> None:
    """The first version that a new start of the server gave out lies far above the last one before."""
    assert model.versions[start] - model.versions[start - 1] > JUMP


async def check_gap(ward: Ward, model: Model, start: int) -> None:
    """Whoever holds a version from between the two has it from a history that was lost."""
    if not 0 < start < len(model.versions):
        return
    for version in (model.versions[start - 1] + 1, model.versions[start] - 1):
        with pytest.raises(Expired):
            await take(ward.watch(str(version)), 1)


async def check_watch(ward: Ward, place: Place, model: Model) -> None:
    """A watch from there tells all that changed since, in order, or that it is forgotten."""
    count = model.changes - place.changes
    if place.is_forgotten:
        with pytest.raises(Expired):
            await take(ward.watch(place.version), 1)
        return
    events = await take(ward.watch(place.version), count)
    assert rebuilt(events, place.objects) == model.objects
    assert [int(version_of(event.object)) for event in events] == model.versions[place.changes :]


def rebuilt(events: list[Event], before: dict[str, Any]) -> dict[str, Any]:
    objects = dict(before)
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


callers = st.lists(st.lists(step, min_size=1, max_size=4), min_size=1, max_size=3)
"""Each with a list of writes, all at the same time."""


def rounds_of(*fates: str, least: int = 1) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.tuples(callers, st.sampled_from(fates)), min_size=least, max_size=6)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=rounds_of("", "", "", "forget"))
async def test_random_histories(store: PostgresStore, database: Database, rounds: list[Any]) -> None:
    async def forget() -> None:
        await maintain(database, keep_days=-1)

    await run_history(store, Ward(store, f"K{uuid.uuid4().hex}"), rounds, forget=forget)


@pytest.fixture(scope="module")
def own_postgres() -> Generator[EmbeddedPostgres]:
    with (
        throwaway_folder("model", parent=fast_folder()) as folder,
        EmbeddedPostgres(folder / "data", sync=False, settings={"fsync": "off"}) as server,
    ):
        yield server


async def crash(server: EmbeddedPostgres) -> None:
    """What `pg_ctl restart -m immediate` does: nothing is flushed, the next start recovers from the log."""
    os.kill(server.pid, signal.SIGQUIT)
    while server.is_running:
        await asyncio.sleep(0.01)
    await asyncio.to_thread(server.start)


@pytest.fixture
async def own_store(own_postgres: EmbeddedPostgres) -> Any:
    async with await Database.open(own_postgres.dsn) as database:
        await migrate(database)
    async with running_store(own_postgres.dsn) as running:
        yield running


@settings(
    max_examples=40 if IS_FULL else 2,
    phases=[Phase.generate, *([Phase.shrink] if IS_FULL else [])],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    before=rounds_of("", "restart" if IS_FULL else "", "forget"),
    crashing=callers,
    after=rounds_of("", "restart" if IS_FULL else "", "forget"),
)
async def test_random_histories_of_a_server_that_is_killed(
    own_store: PostgresStore, own_postgres: EmbeddedPostgres, before: list[Any], crashing: Any, after: list[Any]
) -> None:
    """At least one crash in each."""
    ward = Ward(own_store, f"K{uuid.uuid4().hex}")

    async def forget() -> None:
        async with await Database.open(own_postgres.dsn) as database:
            await maintain(database, keep_days=-1)

    async def restart() -> None:
        place = await ward.version()
        watching = ward.watch(place)
        await take(watching, 1, bookmarks=True)
        await crash(own_postgres)
        with pytest.raises(Expired, match="restarted"):
            await take(watching, 1)
        # A watch that begins anew goes on from the very same place.
        await take(ward.watch(place), 1, bookmarks=True)

    rounds = [*before, (crashing, "restart"), *after]
    await run_history(own_store, ward, rounds, forget=forget, restart=restart)
