"""What every object store must do. Subclass `StoreSuite`, give it the fixture `under_test`, and collect it with pytest."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from aspora.meta.errors import (
    AlreadyExists,
    BadRequest,
    Conflict,
    Expired,
    Invalid,
    NotFound,
    StatusError,
)
from aspora.meta.selectors import parse_selector
from aspora.store.interface import Event, Key, Page, Store, Wire, Write, WriteResult

PATIENCE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class StoreUnderTest:
    """A store and what the suite does to it.

    Attributes:
        store: Its watches send a bookmark at least each second.
        peer: Another one over the same objects, as in another process.
        forget: Drops all history up to now.
    """

    store: Store
    peer: Store
    forget: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Ward:
    """One kind of a store, which no other test uses, and short words for what is done to it."""

    store: Store
    kind: str

    def key(self, name: str, domain: str = "d1") -> Key:
        return Key(self.kind, domain, name)

    async def try_write(self, write: Write) -> WriteResult:
        [result] = await self.store.write([write])
        return result

    async def write(self, write: Write) -> Wire:
        result = await self.try_write(write)
        if result.error is not None:
            raise result.error
        assert result.object is not None
        return result.object

    async def create(
        self, name: str, domain: str = "d1", *, spec: Any = None, labels: Any = None, finalizers: Any = None
    ) -> Wire:
        metadata = {"name": name, "labels": labels, "finalizers": finalizers}
        obj = {"kind": self.kind, "metadata": metadata, "spec": {"n": 0} if spec is None else spec}
        return await self.write(Write("create", self.key(name, domain), obj))

    async def update(self, old: Wire, *, spec: Any = None, **metadata: Any) -> Wire:
        new = {**old, "metadata": {**old["metadata"], **metadata}, "spec": old.get("spec") if spec is None else spec}
        return await self.write(Write("update", key_of(old), new, expected_version=version_of(old)))

    async def set_status(self, old: Wire, status: Any) -> Wire:
        new = {**old, "status": status}
        return await self.write(Write("update_status", key_of(old), new, expected_version=version_of(old)))

    async def delete(self, name: str, domain: str = "d1", *, uid: str | None = None) -> Wire:
        return await self.write(Write("delete", self.key(name, domain), expected_uid=uid))

    async def list(self, **options: Any) -> Page:
        return await self.store.list(self.kind, **options)

    async def version(self) -> str:
        return (await self.list(limit=1)).resource_version

    def watch(self, since: str, **options: Any) -> AsyncIterator[Event]:
        return self.store.watch(self.kind, since=since, **options)


def key_of(obj: Wire) -> Key:
    """An object's key."""
    return Key(obj["kind"], obj["metadata"].get("domain", ""), obj["metadata"]["name"])


def version_of(obj: Wire) -> str:
    """An object's resource version."""
    return obj["metadata"]["resourceVersion"]


def names(objects: Sequence[Wire]) -> list[str]:
    """Names in order."""
    return [obj["metadata"]["name"] for obj in objects]


async def take(events: AsyncIterator[Event], count: int, *, bookmarks: bool = False) -> list[Event]:
    """The next events; without bookmarks unless asked for."""
    taken: list[Event] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(taken) < count:
            event = await anext(events)
            if bookmarks or event.type != "BOOKMARK":
                taken.append(event)
    return taken


def told(events: Sequence[Event]) -> list[tuple[str, str]]:
    """Type and name of each."""
    return [(event.type, event.object["metadata"]["name"]) for event in events]


class StoreSuite:
    """The conformance suite."""

    @pytest.fixture
    def ward(self, under_test: StoreUnderTest) -> Ward:
        """A kind of the store."""
        return Ward(under_test.store, f"K{uuid.uuid4().hex}")

    @pytest.fixture
    def elsewhere(self, under_test: StoreUnderTest, ward: Ward) -> Ward:
        """The same kind, seen from another process."""
        return Ward(under_test.peer, ward.kind)

    async def test_create_sets_the_servers_metadata(self, ward: Ward) -> None:
        made = await ward.create("a", spec={"role": "field"}, labels={"team": "x"})
        metadata = made["metadata"]
        assert (metadata["name"], metadata["domain"], metadata["generation"]) == ("a", "d1", 1)
        assert metadata["uid"] and metadata["creationTimestamp"].endswith("Z") and metadata["labels"] == {"team": "x"}
        assert made["kind"] == ward.kind and made["apiVersion"] == "aspora.dev/v1" and made["spec"] == {"role": "field"}
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
        assert made["metadata"]["name"] == "a" and "status" not in made
        same = await ward.write(Write("update", key, {"metadata": forged, "status": {"ready": True}}))
        assert same == made

    async def test_what_is_missing_is_not_found(self, ward: Ward) -> None:
        with pytest.raises(NotFound, match="'a' in domain 'd1'"):
            await ward.store.get(ward.key("a"))
        for op in ("update", "update_status", "delete"):
            result = await ward.try_write(Write(op, ward.key("a"), {"metadata": {}}))
            assert isinstance(result.error, NotFound) and result.object is None

    async def test_a_name_is_taken_once_in_a_domain_and_in_the_cluster(self, ward: Ward) -> None:
        await ward.create("a")
        await ward.create("a", domain="d2")
        clusterwide = await ward.create("a", domain="")
        assert "domain" not in clusterwide["metadata"]
        with pytest.raises(AlreadyExists):
            await ward.create("a")

    async def test_an_update_replaces_spec_and_metadata_and_counts_generations(self, ward: Ward) -> None:
        first = await ward.create("a", spec={"n": 1, "m": [1, {"x": None}]}, labels={"team": "x"})
        relabelled = await ward.update(first, labels={"tier": "gold"}, annotations={"note": "ü\n\"'%s"})
        assert relabelled["metadata"]["labels"] == {"tier": "gold"} and relabelled["spec"] == first["spec"]
        assert relabelled["metadata"]["generation"] == 1
        second = await ward.update(relabelled, spec={"n": 2})
        assert second["spec"] == {"n": 2} and second["metadata"]["generation"] == 2
        assert int(version_of(first)) < int(version_of(relabelled)) < int(version_of(second))
        for field in ("uid", "creationTimestamp"):
            assert second["metadata"][field] == first["metadata"][field]

    async def test_status_and_spec_never_touch_each_other(self, ward: Ward) -> None:
        made = await ward.create("a", spec={"n": 1})
        ready = await ward.set_status(
            {**made, "spec": {"n": 666}, "metadata": {**made["metadata"], "labels": {"x": "y"}}}, {"ready": True}
        )
        assert ready["status"] == {"ready": True} and ready["spec"] == {"n": 1} and "labels" not in ready["metadata"]
        assert ready["metadata"]["generation"] == 1
        changed = await ward.update({**ready, "status": {"ready": False}}, spec={"n": 2})
        assert changed["status"] == {"ready": True} and changed["spec"] == {"n": 2}
        cleared = await ward.set_status(changed, None)
        assert "status" not in cleared and cleared["spec"] == {"n": 2}

    async def test_a_stale_version_is_a_conflict_and_changes_nothing(self, ward: Ward) -> None:
        first = await ward.create("a")
        second = await ward.update(first, spec={"n": 2})
        for op in ("update", "update_status", "delete"):
            write = Write(op, ward.key("a"), {"spec": {"n": 3}, "status": {}}, expected_version=version_of(first))
            result = await ward.try_write(write)
            assert isinstance(result.error, Conflict) and repr(version_of(second)) in result.error.message
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
        assert final["spec"] == {"n": 40} and final["metadata"]["generation"] == 41

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
        assert result.is_deleted and result.object is not None and result.object["spec"] == made["spec"]
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
        assert held.object is not None and not held.is_deleted
        since_deleted = held.object["metadata"]["deletionTimestamp"]
        assert held.object["metadata"]["generation"] == 1 and since_deleted.endswith("Z")
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
        assert results[-1].object is not None and results[-1].object["metadata"]["generation"] == 2
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
        assert first.error is third.error is fourth.error is None and isinstance(second.error, AlreadyExists)
        assert (await ward.store.get(key))["spec"] == {"n": 2}
        assert [e.type for e in await take(ward.watch(before), 3)] == ["ADDED", "DELETED", "ADDED"]
        assert await ward.store.write([]) == []

    async def test_list_is_by_domain_and_name_and_keeps_to_its_domain(self, ward: Ward) -> None:
        for domain, name in [("d2", "a"), ("d1", "b"), ("", "z"), ("d1", "a-b"), ("d1", "a"), ("d1", "ab")]:
            await ward.create(name, domain=domain)
        everything = [(key_of(obj).domain, key_of(obj).name) for obj in (await ward.list()).items]
        assert everything == [("", "z"), ("d1", "a"), ("d1", "a-b"), ("d1", "ab"), ("d1", "b"), ("d2", "a")]
        assert names((await ward.list(domain="d1")).items) == ["a", "a-b", "ab", "b"]
        assert names((await ward.list(domain="")).items) == ["z"]
        assert (await ward.list(domain="d3")).items == ()

    async def test_pages_cover_everything_while_others_write(self, ward: Ward) -> None:
        await ward.store.write([Write("create", ward.key(f"n{n:02}"), {}) for n in range(20)])
        seen: list[str] = []
        page = await ward.list(limit=3)
        first_version = page.resource_version
        while page.continue_token is not None:
            seen += names(page.items)
            if seen[-1].startswith("n"):
                await ward.delete(seen[-1])
                await ward.create(f"behind{len(seen)}")
                await ward.create(f"z-ahead{len(seen):02}")
            page = await ward.list(limit=3, continue_token=page.continue_token)
            assert page.resource_version == first_version
        seen += names(page.items)
        assert seen == [f"n{n:02}" for n in range(20)] + [f"z-ahead{n:02}" for n in (3, 6, 9, 12, 15, 18)]
        changes = await take(ward.watch(first_version), 18)
        assert told(changes)[:3] == [("DELETED", "n02"), ("ADDED", "behind3"), ("ADDED", "z-ahead03")]

    async def test_the_last_page_has_no_token_even_when_full(self, ward: Ward) -> None:
        await ward.store.write([Write("create", ward.key(f"n{n}"), {}) for n in range(4)])
        page = await ward.list(limit=2)
        assert page.continue_token is not None
        page = await ward.list(limit=2, continue_token=page.continue_token)
        assert names(page.items) == ["n2", "n3"] and page.continue_token is None

    async def test_a_continue_token_is_good_for_its_own_query_alone(self, ward: Ward) -> None:
        await ward.store.write([Write("create", ward.key(f"n{n}"), {}) for n in range(3)])
        token = (await ward.list(limit=1)).continue_token
        assert token is not None
        others: list[dict[str, Any]] = [
            {"domain": "d1"},
            {"labels": parse_selector("a=b")},
            {"fields": parse_selector("a=b")},
        ]
        for other in others:
            with pytest.raises(BadRequest):
                await ward.list(limit=1, continue_token=token, **other)
        for broken in ("", "x", "é", token[:-2], token[1:], "A" * len(token), f"{token}A"):
            with pytest.raises(BadRequest):
                await ward.list(limit=1, continue_token=broken)
        for limit in (0, -1, 5001):
            with pytest.raises(BadRequest):
                await ward.list(limit=limit)

    @pytest.mark.parametrize(
        ("selector", "found"),
        [
            ("team=x", "a b"),
            ("team==x,tier=gold", "a"),
            ("team!=x", "c d"),
            ("team in (x, y)", "a b c"),
            ("team notin (x)", "c d"),
            ("team", "a b c"),
            ("!team", "d"),
            ("team=x,team=y", ""),
            ("aspora.dev/skill=s-1", "c"),
            ("!tier,team in (x,y)", "b c"),
            ("team=", ""),
        ],
    )
    async def test_label_selectors(self, ward: Ward, selector: str, found: str) -> None:
        before = await ward.version()
        await ward.create("a", labels={"team": "x", "tier": "gold"})
        await ward.create("b", labels={"team": "x"})
        await ward.create("c", labels={"team": "y", "aspora.dev/skill": "s-1"})
        await ward.create("d")
        page = await ward.list(labels=parse_selector(selector))
        assert names(page.items) == found.split()
        await self._watch_agrees(ward, before, found, labels=parse_selector(selector))

    @pytest.mark.parametrize(
        ("selector", "found"),
        [
            ("metadata.name=a", "a"),
            ("metadata.name in (a,c,z)", "a c"),
            ("metadata.name!=a", "b c d"),
            ("metadata.name=a,metadata.name=b", ""),
            ("metadata.domain=d1", "a b c"),
            ("metadata.domain in (d1,d2),metadata.name!=b", "a c d"),
            ("metadata.domain=", ""),
            ("spec.role=field", "a"),
            ("spec.role!=field", "b c d"),
            ("spec.role", "a b"),
            ("!spec.role", "c d"),
            ("spec.n=3", "a"),
            ("spec.on=true", "b"),
            ("spec.deep.key in (v)", "c"),
            ("spec.list=1", ""),
            ("spec.list.0=1", ""),
            ("spec.deep", ""),
            ("spec.role.more=x", ""),
            ('spec.it"s=q', "d"),
            ("spec..x=1", ""),
        ],
    )
    async def test_field_selectors(self, ward: Ward, selector: str, found: str) -> None:
        before = await ward.version()
        await ward.create("a", spec={"role": "field", "n": 3, "list": ["1"]})
        await ward.create("b", spec={"role": "manager", "on": True})
        await ward.create("c", spec={"role": None, "deep": {"key": "v"}})
        await ward.create("d", domain="d2", spec={"role": ["field"], 'it"s': "q"})
        page = await ward.list(fields=parse_selector(selector, what="field"))
        assert names(page.items) == found.split()
        await self._watch_agrees(ward, before, found, fields=parse_selector(selector, what="field"))

    async def _watch_agrees(self, ward: Ward, before: str, found: str, **options: Any) -> None:
        """A watch that began before the objects were made hears of exactly those that a list finds."""
        last = await ward.create("zz")
        events: list[Event] = []
        stream = ward.watch(before, **options)
        while not events or int(version_of(events[-1].object)) < int(version_of(last)):
            events += await take(stream, 1, bookmarks=True)
        assert [
            name for what, name in told([e for e in events if e.type != "BOOKMARK"]) if name != "zz"
        ] == found.split()

    async def test_a_selected_list_pages_too(self, ward: Ward) -> None:
        await ward.store.write(
            [Write("create", ward.key(f"n{n}"), {"metadata": {"labels": {"odd": str(n % 2)}}}) for n in range(9)]
        )
        options: dict[str, Any] = {"labels": parse_selector("odd=1"), "limit": 3}
        page = await ward.list(**options)
        rest = await ward.list(**options, continue_token=page.continue_token)
        assert names(page.items) + names(rest.items) == ["n1", "n3", "n5", "n7"]

    async def test_watch_tells_each_change_once_in_order_before_and_after_it_began(self, ward: Ward) -> None:
        before = await ward.version()
        made = await ward.create("a")
        changed = await ward.update(made, spec={"n": 1})
        stream = ward.watch(before)
        assert [e.object for e in await take(stream, 2)] == [made, changed]
        ready = await ward.set_status(changed, {"ready": True})
        await ward.delete("a")
        events = await take(stream, 2)
        assert events[0] == Event("MODIFIED", ready) and told(events[1:]) == [("DELETED", "a")]
        assert int(version_of(events[1].object)) > int(version_of(ready))
        [resumed] = await take(ward.watch(version_of(ready)), 1)
        assert resumed == events[1]

    async def test_watch_keeps_to_its_kind_and_domain(self, ward: Ward) -> None:
        before = await ward.version()
        other = Ward(ward.store, ward.kind + "x")
        for side, domain in [(other, "d1"), (ward, "d2"), (ward, ""), (ward, "d1")]:
            await side.create(f"of-{domain}", domain=domain)
        assert told(await take(ward.watch(before, domain="d1"), 1)) == [("ADDED", "of-d1")]
        assert told(await take(ward.watch(before, domain=""), 1)) == [("ADDED", "of-")]
        assert len(await take(ward.watch(before), 3)) == 3

    async def test_watch_hears_of_writes_by_other_processes(self, ward: Ward, elsewhere: Ward) -> None:
        stream = ward.watch(await ward.version())
        waiting = asyncio.create_task(take(stream, 1))
        made = await elsewhere.create("a")
        assert await waiting == [Event("ADDED", made)]

    async def test_watch_loses_nothing_with_four_writers(self, ward: Ward, elsewhere: Ward) -> None:
        sides, each = [ward, elsewhere, ward, elsewhere], 60

        async def write_many(side: Ward, writer: int) -> list[str]:
            versions: list[str] = []
            for n in range(each):
                if n % 3 == 0:
                    names_here = [f"w{writer}-{n}-{part}" for part in range(3)]
                    results = await side.store.write([Write("create", side.key(name), {}) for name in names_here])
                    versions += [version_of(result.object or {}) for result in results]
                else:
                    versions.append(version_of(await side.create(f"w{writer}-{n}")))
            return versions

        total = len(sides) * (each // 3 * 3 + each - each // 3)
        before = await ward.version()
        early = asyncio.create_task(take(ward.watch(before), total))
        written = [v for vs in await asyncio.gather(*(write_many(s, i) for i, s in enumerate(sides))) for v in vs]
        heard = [version_of(event.object) for event in await early]
        late = [version_of(event.object) for event in await take(elsewhere.watch(before), total)]
        assert heard == late == sorted(written, key=int)

    async def test_watches_opened_amid_writes_each_hear_all_from_their_list_on(
        self, ward: Ward, elsewhere: Ward
    ) -> None:
        async def write_many() -> None:
            for n in range(80):
                await elsewhere.create(f"n{n:03}")

        async def list_and_watch(delay: int) -> None:
            for _ in range(delay):
                await ward.version()
            page = await ward.list(limit=5000)
            followed = await take(ward.watch(page.resource_version), 80 - len(page.items))
            assert names(page.items) + [name for _, name in told(followed)] == [f"n{n:03}" for n in range(80)]

        await asyncio.gather(write_many(), *(list_and_watch(delay) for delay in range(1, 40, 6)))

    async def test_selector_transitions(self, ward: Ward) -> None:
        stream = ward.watch(await ward.version(), labels=parse_selector("team=x"), fields=parse_selector("spec.n!=9"))
        made = await ward.create("a", labels={"team": "y"})
        entered = await ward.update(made, labels={"team": "x"})
        stayed = await ward.update(entered, spec={"n": 1})
        left = await ward.update(stayed, labels={"team": "y"})
        back = await ward.update(left, labels={"team": "x"})
        left_again = await ward.update(back, spec={"n": 9})
        await ward.delete("a")
        await ward.create("b", labels={"team": "x"})
        await ward.delete("b")
        events = await take(stream, 7)
        assert [event.type for event in events] == [
            "ADDED",
            "MODIFIED",
            "DELETED",
            "ADDED",
            "DELETED",
            "ADDED",
            "DELETED",
        ]
        assert [event.object for event in events[:2]] == [entered, stayed]
        assert events[2].object["metadata"]["labels"] == {"team": "x"}
        assert version_of(events[2].object) == version_of(left)
        assert events[4].object["spec"] == {"n": 1} and version_of(events[4].object) == version_of(left_again)

    async def test_bookmarks_move_on_with_changes_that_are_not_the_watchers(self, ward: Ward) -> None:
        stream = ward.watch(await ward.version(), domain="d1")
        other = await ward.create("a", domain="d2")
        seen: set[str] = set()
        while version_of(other) not in seen:
            [event] = await take(stream, 1, bookmarks=True)
            assert event.type == "BOOKMARK" and event.object == {
                "metadata": {"resourceVersion": version_of(event.object)}
            }
            seen.add(version_of(event.object))
        mine = await ward.create("b")
        assert await take(ward.watch(version_of(other), domain="d1"), 1) == [Event("ADDED", mine)]
        assert max(map(int, seen)) < int(version_of(mine))

    async def test_expired_history(self, under_test: StoreUnderTest, ward: Ward) -> None:
        made = await ward.create("a")
        await ward.create("b")
        token = (await ward.list(limit=1)).continue_token
        newest = await ward.create("c")
        await under_test.forget()
        with pytest.raises(Expired):
            await take(ward.watch(version_of(made)), 1)
        with pytest.raises(Expired):
            await ward.list(limit=1, continue_token=token)
        page = await ward.list()
        assert names(page.items) == ["a", "b", "c"] and page.resource_version == version_of(newest)
        stream = ward.watch(page.resource_version)
        later = await ward.update(made, spec={"n": 7})
        assert await take(stream, 1) == [Event("MODIFIED", later)]

    async def test_versions_that_were_never_given_out_are_expired(self, ward: Ward) -> None:
        made = await ward.create("a")
        for version in (str(int(version_of(made)) + 10**6), "9" * 18):
            with pytest.raises(Expired):
                await take(ward.watch(version), 1)
        for nonsense in ("", "x", "-1", "1.5", "９", "9" * 40):
            with pytest.raises(BadRequest):
                await take(ward.watch(nonsense), 1)

    async def test_a_watch_that_is_closed_stops_at_once(self, ward: Ward) -> None:
        stream = ward.watch(await ward.version())
        waiting = asyncio.create_task(take(stream, 1))
        await ward.version()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
