"""Lists: order, pages, selectors."""

from collections.abc import Mapping
from typing import Any, Literal

import pytest

from aspora.meta.errors import (
    BadRequest,
)
from aspora.meta.selectors import parse_selector
from aspora.store.interface import Event, Write
from aspora.testing.store_suite.harness import KindFixtures, Ward, key_of, names, take, told, version_of

LABEL_SELECTORS = {
    "team=x": "a b",
    "team==x,tier=gold": "a",
    "team!=x": "c d",
    "team in (x, y)": "a b c",
    "team notin (x)": "c d",
    "team": "a b c",
    "!team": "d",
    "team=x,team=y": "",
    "aspora.dev/skill=s-1": "c",
    "!tier,team in (x,y)": "b c",
    "team=": "",
}
FIELD_SELECTORS = {
    "metadata.name=a": "a",
    "metadata.name in (a,c,z)": "a c",
    "metadata.name!=a": "b c d",
    "metadata.name=a,metadata.name=b": "",
    "metadata.domain=d1": "a b c",
    "metadata.domain in (d1,d2),metadata.name!=b": "a c d",
    "metadata.domain=": "",
    "spec.role=field": "a",
    "spec.role!=field": "b c d",
    "spec.role": "a b",
    "!spec.role": "c d",
    "spec.n=3": "a",
    "spec.on=true": "b",
    "spec.deep.key in (v)": "c",
    "spec.deep": "",
}
ODD_SELECTORS = {"spec.list=1": "", "spec.list.0=1": "", "spec.role.more=x": "", 'spec.it"s=q': "d", "spec..x=1": ""}


class ListsSuite(KindFixtures):
    """What `list` promises, and that a watch selects the same."""

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
        assert names(page.items) == ["n2", "n3"]
        assert page.continue_token is None

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

    async def test_label_selectors(self, ward: Ward) -> None:
        before = await ward.version()
        await ward.create("a", labels={"team": "x", "tier": "gold"})
        await ward.create("b", labels={"team": "x"})
        await ward.create("c", labels={"team": "y", "aspora.dev/skill": "s-1"})
        await ward.create("d")
        await _require_found(ward, before, LABEL_SELECTORS, what="label")

    async def test_field_selectors(self, ward: Ward) -> None:
        before = await _create_fields(ward)
        await _require_found(ward, before, FIELD_SELECTORS, what="field")

    async def test_field_selectors_of_fields_that_no_kind_has(self, ward: Ward) -> None:
        before = await _create_fields(ward)
        await _require_found(ward, before, ODD_SELECTORS, what="field")

    async def test_a_selected_list_pages_too(self, ward: Ward) -> None:
        await ward.store.write(
            [Write("create", ward.key(f"n{n}"), {"metadata": {"labels": {"odd": str(n % 2)}}}) for n in range(9)]
        )
        options: dict[str, Any] = {"labels": parse_selector("odd=1"), "limit": 3}
        page = await ward.list(**options)
        rest = await ward.list(**options, continue_token=page.continue_token)
        assert names(page.items) + names(rest.items) == ["n1", "n3", "n5", "n7"]


async def _create_fields(ward: Ward) -> str:
    """Objects to select by field; the version before them."""
    before = await ward.version()
    await ward.create("a", spec={"role": "field", "n": 3, "list": ["1"]})
    await ward.create("b", spec={"role": "manager", "on": True})
    await ward.create("c", spec={"role": None, "deep": {"key": "v"}})
    await ward.create("d", domain="d2", spec={"role": ["field"], 'it"s': "q"})
    return before


async def _require_found(
    ward: Ward, before: str, selectors: Mapping[str, str], *, what: Literal["label", "field"]
) -> None:
    """A list finds what it should, and a watch that began before the objects were made hears of exactly those."""
    options: dict[str, dict[str, Any]] = {text: {f"{what}s": parse_selector(text, what=what)} for text in selectors}
    for text, found in selectors.items():
        assert names((await ward.list(**options[text])).items) == found.split(), text
    last = await ward.create("zz")
    for text, found in selectors.items():
        events: list[Event] = []
        stream = ward.watch(before, **options[text])
        while not events or int(version_of(events[-1].object)) < int(version_of(last)):
            events += await take(stream, 1, bookmarks=True)
        heard = names([event.object for event in events if event.type != "BOOKMARK"])
        assert [name for name in heard if name != "zz"] == found.split(), text
