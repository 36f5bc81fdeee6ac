"""Writes: who may say what, and who wins."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from aspora.meta.errors import (
    AlreadyExists,
    Conflict,
    Invalid,
    NotFound,
    StatusError,
)
from aspora.meta.objects import FOREGROUND_FINALIZER, ORPHAN_FINALIZER
from aspora.store.interface import Wire, Write
from aspora.testing.store_suite.harness import KindFixtures, Ward, names, take, told, version_of


class WritesSuite(KindFixtures):
    """What `get` and `write` promise."""

    async def test_create_sets_the_servers_metadata(self, ward: Ward) -> None:
        made = await ward.create("a", spec={"role": "field"}, labels={"team": "x"})
        metadata = made["metadata"]
        assert (metadata["name"], metadata["domain"], metadata["generation"]) == ("a", "d1", 1)
        assert metadata["uid"]
        assert metadata["creationTimestamp"].endswith("Z")
        assert metadata["labels"] == {"team": "x"}
        assert made["kind"] == ward.kind
        assert made["apiVersion"] == "aspora.dev/v1"
        assert made["spec"] == {"role": "field"}
        assert await ward.store.get(ward.key("a")) == made

    async def test_a_client_cannot_choose_the_servers_metadata(self, ward: Ward) -> None:
        forged = {
            "uid": "u",
            "resourceVersion": "1",
            "generation": 9,
            "creationTimestamp": "x",
            "deletionTimestamp": "x",
        }
        key = ward.key("a")
        made = await ward.write(Write("create", key, {"metadata": {"name": "b", **forged}, "status": {"ready": True}}))
        assert all(made["metadata"].get(field) != value for field, value in forged.items())
        assert made["metadata"]["name"] == "a"
        assert "status" not in made
        same = await ward.write(Write("update", key, {"metadata": forged, "status": {"ready": True}}))
        assert same == made

    async def test_what_is_missing_is_not_found(self, ward: Ward) -> None:
        with pytest.raises(NotFound, match="'a' not found in domain 'd1'"):
            await ward.store.get(ward.key("a"))
        for op in ("update", "update_status", "delete"):
            result = await ward.try_write(Write(op, ward.key("a"), {"metadata": {}}))
            assert isinstance(result.error, NotFound)
            assert result.object is None

    async def test_a_name_is_taken_once_in_a_domain_and_in_the_cluster(self, ward: Ward) -> None:
        await ward.create("a")
        await ward.create("a", domain="d2")
        clusterwide = await ward.create("a", domain="")
        assert "domain" not in clusterwide["metadata"]
        with pytest.raises(AlreadyExists):
            await ward.create("a")

    async def test_what_lives_in_an_object_is_refused_without_it(self, ward: Ward) -> None:
        home = ward.key("home", "")
        write = Write("create", ward.key("a", "home"), {"metadata": {}}, lives_in=home)
        with pytest.raises(Conflict, match="'home' is gone or being deleted"):
            await ward.write(write)
        await ward.create("home", domain="", finalizers=["f"])
        await ward.write(write)
        await ward.delete("a", domain="home")
        await ward.delete("home", domain="")
        with pytest.raises(Conflict, match="'home' is gone or being deleted"):
            await ward.write(write)
        assert names((await ward.list()).items) == ["home"]

    async def test_a_write_that_needs_an_empty_domain_waits_for_it(self, ward: Ward) -> None:
        domain = ward.kind.lower()
        await ward.create("home", domain="")
        await ward.create("a", domain=domain)
        write = Write("delete", ward.key("home", ""), empty_domain=domain)
        with pytest.raises(Conflict, match="something is left in its domain"):
            await ward.write(write)
        assert await ward.store.get(ward.key("home", ""))
        await ward.delete("a", domain=domain)
        assert (await ward.try_write(write)).is_deleted

    async def test_conditions_see_the_writes_before_them_in_the_list(self, ward: Ward) -> None:
        domain, home = ward.kind.lower(), ward.key("home", "")
        create = Write("create", ward.key("a", domain), {"metadata": {}}, lives_in=home)
        delete = Write("delete", home, empty_domain=domain)
        results = await ward.store.write([create, Write("create", home, {"metadata": {}}), create, delete])
        assert [type(r.error) for r in results] == [Conflict, type(None), type(None), Conflict]
        remove = Write("delete", ward.key("a", domain))
        results = await ward.store.write([remove, delete, create])
        assert [type(r.error) for r in results] == [type(None), type(None), Conflict]

    async def test_an_update_replaces_spec_and_metadata_and_counts_generations(self, ward: Ward) -> None:
        first = await ward.create("a", spec={"n": 1, "m": [1, {"x": None}]}, labels={"team": "x"})
        relabelled = await ward.update(first, labels={"tier": "gold"}, annotations={"note": "ü\n\"'%s"})
        assert relabelled["metadata"]["labels"] == {"tier": "gold"}
        assert relabelled["spec"] == first["spec"]
        assert relabelled["metadata"]["generation"] == 1
        second = await ward.update(relabelled, spec={"n": 2})
        assert second["spec"] == {"n": 2}
        assert second["metadata"]["generation"] == 2
        assert int(version_of(first)) < int(version_of(relabelled)) < int(version_of(second))
        for field in ("uid", "creationTimestamp"):
            assert second["metadata"][field] == first["metadata"][field]

    async def test_status_and_spec_never_touch_each_other(self, ward: Ward) -> None:
        made = await ward.create("a", spec={"n": 1})
        ready = await ward.set_status(
            {**made, "spec": {"n": 666}, "metadata": {**made["metadata"], "labels": {"x": "y"}}}, {"ready": True}
        )
        assert ready["status"] == {"ready": True}
        assert ready["spec"] == {"n": 1}
        assert "labels" not in ready["metadata"]
        assert ready["metadata"]["generation"] == 1
        changed = await ward.update({**ready, "status": {"ready": False}}, spec={"n": 2})
        assert changed["status"] == {"ready": True}
        assert changed["spec"] == {"n": 2}
        cleared = await ward.set_status(changed, None)
        assert not cleared.get("status")
        assert cleared["spec"] == {"n": 2}

    async def test_a_stale_version_is_a_conflict_and_changes_nothing(self, ward: Ward) -> None:
        first = await ward.create("a")
        second = await ward.update(first, spec={"n": 2})
        for op in ("update", "update_status", "delete"):
            write = Write(op, ward.key("a"), {"spec": {"n": 3}, "status": {}}, expected_version=version_of(first))
            result = await ward.try_write(write)
            assert isinstance(result.error, Conflict)
            assert repr(version_of(second)) in result.error.message
        nonsense = await ward.try_write(Write("update", ward.key("a"), first, expected_version="soon"))
        assert isinstance(nonsense.error, Conflict)
        assert await ward.store.get(ward.key("a")) == second

    async def test_of_many_writers_from_one_version_exactly_one_wins(self, ward: Ward, elsewhere: Ward) -> None:
        made = await ward.create("a")
        sides = [ward, elsewhere] * 8
        outcomes = await asyncio.gather(
            *(side.update(made, spec={"n": n}) for n, side in enumerate(sides, start=1)), return_exceptions=True
        )
        [won] = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == len(sides) - 1
        assert await elsewhere.store.get(ward.key("a")) == won

    async def test_no_update_is_lost_when_writers_retry(self, ward: Ward, elsewhere: Ward) -> None:
        await ward.create("a", spec={"n": 0})

        async def count_up(side: Ward) -> None:
            for _ in range(10):
                while True:
                    old = await side.store.get(side.key("a"))
                    try:
                        await side.update(old, spec={"n": old["spec"]["n"] + 1})
                        break
                    except Conflict:
                        continue

        await asyncio.gather(*(count_up(side) for side in [ward, elsewhere] * 2))
        final = await ward.store.get(ward.key("a"))
        assert final["spec"] == {"n": 40}
        assert final["metadata"]["generation"] == 41

    async def test_a_write_that_changes_nothing_keeps_the_version_and_makes_no_event(self, ward: Ward) -> None:
        made = await ward.set_status(await ward.create("a", spec={"n": 1, "m": 2}), {"ready": True})
        same = {**made, "spec": {"m": 2, "n": 1}, "metadata": {**made["metadata"], "labels": {}, "annotations": None}}
        assert await ward.write(Write("update", ward.key("a"), same, expected_version=version_of(made))) == made
        assert await ward.set_status(made, {"ready": True}) == made
        await ward.create("z")
        [event] = await take(ward.watch(version_of(made)), 1)
        assert told([event]) == [("ADDED", "z")]

    async def test_delete_gives_the_last_form_and_frees_the_name(self, ward: Ward) -> None:
        made = await ward.create("a")
        result = await ward.try_write(Write("delete", ward.key("a"), expected_version=version_of(made)))
        assert result.is_deleted
        assert result.object is not None
        assert result.object["spec"] == made["spec"]
        assert int(version_of(result.object)) > int(version_of(made))
        with pytest.raises(NotFound):
            await ward.store.get(ward.key("a"))
        again = await ward.create("a")
        assert again["metadata"]["uid"] != made["metadata"]["uid"]

    async def test_a_uid_names_one_object_and_no_other_of_its_name(self, ward: Ward) -> None:
        made = await ward.create("a")
        await ward.delete("a", uid=made["metadata"]["uid"])
        again = await ward.create("a")
        with pytest.raises(Conflict, match="another object"):
            await ward.delete("a", uid=made["metadata"]["uid"])
        late = await ward.try_write(Write("update_status", ward.key("a"), made, expected_uid=made["metadata"]["uid"]))
        assert isinstance(late.error, Conflict)
        assert await ward.store.get(ward.key("a")) == again

    async def test_finalizers_hold_a_deleted_object(self, ward: Ward) -> None:
        made = await ward.create("a", finalizers=["one", "two"])
        held = await ward.try_write(Write("delete", ward.key("a")))
        assert held.object is not None
        assert not held.is_deleted
        since_deleted = held.object["metadata"]["deletionTimestamp"]
        assert held.object["metadata"]["generation"] == 1
        assert since_deleted.endswith("Z")
        assert await ward.delete("a") == held.object
        one_less = await ward.update(held.object, finalizers=["two"], deletionTimestamp=None)
        assert one_less["metadata"]["deletionTimestamp"] == since_deleted
        empty = {**one_less, "metadata": {**one_less["metadata"], "finalizers": []}}
        last = await ward.try_write(Write("update", ward.key("a"), empty, expected_version=version_of(one_less)))
        assert last.is_deleted
        with pytest.raises(NotFound):
            await ward.store.get(ward.key("a"))
        events = await take(ward.watch(version_of(made)), 3)
        assert told(events) == [("MODIFIED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]

    async def test_a_delete_holds_its_object_by_a_finalizer_of_its_own_in_one_write(self, ward: Ward) -> None:
        made = await ward.create("a", spec={"n": 1}, finalizers=["own"])
        delete = Write("delete", ward.key("a"), finalizer=FOREGROUND_FINALIZER)
        held = await ward.try_write(delete)
        assert held.object is not None
        assert not held.is_deleted
        metadata = held.object["metadata"]
        assert metadata["finalizers"] == ["own", FOREGROUND_FINALIZER]
        assert metadata["deletionTimestamp"].endswith("Z")
        assert (metadata["generation"], held.object["spec"]) == (1, {"n": 1})
        # Being deleted already, it takes no other way any more.
        for again in (delete, replace(delete, finalizer=ORPHAN_FINALIZER), replace(delete, finalizer=None)):
            assert await ward.write(again) == held.object
        last = {**held.object, "metadata": {**metadata, "finalizers": []}}
        result = await ward.try_write(Write("update", ward.key("a"), last, expected_version=version_of(held.object)))
        assert result.is_deleted
        events = await take(ward.watch(version_of(made)), 2)
        assert told(events) == [("MODIFIED", "a"), ("DELETED", "a")]
        assert events[0].object == held.object
        bare = await ward.create("b")
        alone = await ward.write(Write("delete", ward.key("b"), finalizer=ORPHAN_FINALIZER))
        assert alone["metadata"]["finalizers"] == [ORPHAN_FINALIZER]
        assert told(await take(ward.watch(version_of(bare)), 1)) == [("MODIFIED", "b")]

    async def test_a_holding_delete_that_is_refused_leaves_no_finalizer(self, ward: Ward) -> None:
        first = await ward.create("a")
        second = await ward.update(first, spec={"n": 2})
        delete = Write("delete", ward.key("a"), finalizer=FOREGROUND_FINALIZER)
        for refused in (
            replace(delete, expected_version=version_of(first)),
            replace(delete, expected_uid="other"),
            replace(delete, expected_version=version_of(second), expected_uid="other"),
        ):
            assert isinstance((await ward.try_write(refused)).error, Conflict)
            assert await ward.store.get(ward.key("a")) == second
        missing = await ward.try_write(replace(delete, key=ward.key("none")))
        assert isinstance(missing.error, NotFound)
        uid = second["metadata"]["uid"]
        held = await ward.write(replace(delete, expected_version=version_of(second), expected_uid=uid))
        assert "deletionTimestamp" in held["metadata"]

    async def test_nobody_sees_the_finalizer_of_a_delete_without_the_deletion(
        self, ward: Ward, elsewhere: Ward
    ) -> None:
        made = await ward.create("a")

        async def relabel(side: Ward) -> None:
            for number in range(6):
                old = await side.store.get(side.key("a"))
                with suppress(Conflict):
                    await side.update(old, labels={"n": str(number)})

        async def delete() -> None:
            await elsewhere.write(Write("delete", ward.key("a"), finalizer=FOREGROUND_FINALIZER))

        await asyncio.gather(relabel(ward), relabel(elsewhere), delete())
        final = await ward.store.get(ward.key("a"))
        seen: list[Wire] = []
        watching = ward.watch(version_of(made))
        while not seen or version_of(seen[-1]) != version_of(final):
            seen += [event.object for event in await take(watching, 1)]
        assert all(("finalizers" in o["metadata"]) == ("deletionTimestamp" in o["metadata"]) for o in seen)
        assert final["metadata"]["finalizers"] == [FOREGROUND_FINALIZER]

    async def test_a_bad_item_harms_none_of_its_neighbours(self, ward: Ward) -> None:
        old = await ward.create("old")
        deep: Any = "x"
        for _ in range(300):
            deep = [deep]
        bad: list[tuple[Write, type[StatusError]]] = [
            (Write("create", ward.key("old"), {}), AlreadyExists),
            (Write("update", ward.key("none"), {}), NotFound),
            (Write("update", ward.key("old"), {}, expected_version="1"), Conflict),
            (Write("delete", ward.key("old"), expected_uid="other"), Conflict),
            (Write("create", ward.key("nul"), {"spec": {"text": "a\x00b"}}), Invalid),
            (Write("create", ward.key("half"), {"spec": {"\ud800": 1}}), Invalid),
            (Write("create", ward.key("nan"), {"spec": {"n": float("nan")}}), Invalid),
            (Write("create", ward.key("deep"), {"spec": deep}), Invalid),
            (Write("create", ward.key("code"), {"spec": {"n": object()}}), Invalid),
            (Write("create", ward.key("labels"), {"metadata": {"labels": ["x"]}}), Invalid),
            (Write("create", ward.key("n" * 5000), {}), Invalid),
            (Write("create", ward.key("nothing")), Invalid),
        ]
        writes: list[Write] = []
        for number, (write, _) in enumerate(bad):
            writes += [Write("create", ward.key(f"good{number}"), {"spec": {"text": "\\u0000 %s"}}), write]
        writes.append(Write("update", ward.key("good0"), {"spec": {"n": 2}}))
        results = await ward.store.write(writes)
        assert [type(result.error) for result in results[1::2]] == [error for _, error in bad]
        assert [result.error for result in [*results[0::2], results[-1]]] == [None] * (len(bad) + 2)
        assert results[-1].object is not None
        assert results[-1].object["metadata"]["generation"] == 2
        assert await ward.store.get(ward.key("old")) == old
        assert names((await ward.list()).items) == sorted([*(f"good{n}" for n in range(len(bad))), "old"])

    async def test_writes_of_one_list_see_each_other_in_order(self, ward: Ward) -> None:
        key = ward.key("a")
        writes = [
            Write("create", key, {"spec": {"n": 1}}),
            Write("create", key, {}),
            Write("delete", key),
            Write("create", key, {"spec": {"n": 2}}),
        ]
        before = await ward.version()
        first, second, third, fourth = await ward.store.write(writes)
        assert first.error is third.error is fourth.error is None
        assert isinstance(second.error, AlreadyExists)
        assert (await ward.store.get(key))["spec"] == {"n": 2}
        assert [e.type for e in await take(ward.watch(before), 3)] == ["ADDED", "DELETED", "ADDED"]
        assert await ward.store.write([]) == []
