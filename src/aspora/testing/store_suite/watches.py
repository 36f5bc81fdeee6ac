"""Watches: each change once, in order, or `Expired`."""

import asyncio

import pytest

from aspora.meta.errors import (
    BadRequest,
    Expired,
)
from aspora.meta.selectors import parse_selector
from aspora.store.interface import Event, Write
from aspora.testing.store_suite.harness import KindFixtures, StoreUnderTest, Ward, names, take, told, version_of


class WatchesSuite(KindFixtures):
    """What `watch` promises."""

    async def test_watch_tells_each_change_once_in_order_before_and_after_it_began(self, ward: Ward) -> None:
        before = await ward.version()
        made = await ward.create("a")
        changed = await ward.update(made, spec={"n": 1})
        stream = ward.watch(before)
        assert [e.object for e in await take(stream, 2)] == [made, changed]
        ready = await ward.set_status(changed, {"ready": True})
        await ward.delete("a")
        events = await take(stream, 2)
        assert events[0] == Event("MODIFIED", ready)
        assert told(events[1:]) == [("DELETED", "a")]
        assert int(version_of(events[1].object)) > int(version_of(ready))
        [resumed] = await take(ward.watch(version_of(ready)), 1)
        assert resumed == events[1]

    async def test_watch_keeps_to_its_kind_and_domain(self, ward: Ward) -> None:
        before = await ward.version()
        other = Ward(ward.store, ward.kind + "x")
        for side, domain in [(other, "d1"), (ward, "d2"), (ward, ""), (ward, "d1")]:
            await side.create(f"of-{domain or 'cluster'}", domain=domain)
        assert told(await take(ward.watch(before, domain="d1"), 1)) == [("ADDED", "of-d1")]
        assert told(await take(ward.watch(before, domain=""), 1)) == [("ADDED", "of-cluster")]
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
        assert events[4].object["spec"] == {"n": 1}
        assert version_of(events[4].object) == version_of(left_again)

    async def test_bookmarks_move_on_with_changes_that_are_not_the_watchers(self, ward: Ward) -> None:
        stream = ward.watch(await ward.version(), domain="d1")
        other = await ward.create("a", domain="d2")
        seen: set[str] = set()
        while version_of(other) not in seen:
            [event] = await take(stream, 1, bookmarks=True)
            assert event.type == "BOOKMARK"
            assert event.object == {"metadata": {"resourceVersion": version_of(event.object)}}
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
        assert names(page.items) == ["a", "b", "c"]
        assert page.resource_version == version_of(newest)
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
