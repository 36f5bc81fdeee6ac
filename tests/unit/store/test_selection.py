import json
from typing import Any

from aspora.meta.selectors import parse_selector
from aspora.store.interface import Event
from aspora.store.selection import Change, Selection


def form(version: int, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": "a", "domain": "d", "resourceVersion": str(version)}
    return {"metadata": {**metadata, "labels": labels} if labels else metadata, "spec": spec}


def change(kind: str, obj: dict[str, Any], previous: dict[str, Any] | None, domain: str = "d") -> Change:
    return Change(int(obj["metadata"]["resourceVersion"]), "Skill", domain, kind, obj, previous)


ON, OFF = {"team": "x"}, {"team": "y"}
TEAM = Selection("Skill", labels=parse_selector("team=x"))


def test_transitions() -> None:
    assert TEAM.event_of(change("ADDED", form(1, ON), None)) == Event("ADDED", form(1, ON))
    assert TEAM.event_of(change("ADDED", form(1, OFF), None)) is None
    assert TEAM.event_of(change("MODIFIED", form(2, ON), form(1, ON))) == Event("MODIFIED", form(2, ON))
    assert TEAM.event_of(change("MODIFIED", form(2, ON), form(1, OFF))) == Event("ADDED", form(2, ON))
    assert TEAM.event_of(change("MODIFIED", form(2, OFF), form(1, ON))) == Event("DELETED", form(2, ON))
    assert TEAM.event_of(change("MODIFIED", form(2, OFF), form(1, OFF))) is None
    assert TEAM.event_of(change("DELETED", form(2, ON), form(1, ON))) == Event("DELETED", form(2, ON))
    assert TEAM.event_of(change("DELETED", form(2, OFF), form(1, OFF))) is None
    # Gone by an update that also changed the labels: whoever saw it must hear that it is gone.
    assert TEAM.event_of(change("DELETED", form(2, OFF), form(1, ON))) == Event("DELETED", form(2, OFF))
    assert TEAM.event_of(change("DELETED", form(2, ON), form(1, OFF))) is None


def test_kind_and_domain() -> None:
    added = change("ADDED", form(1), None)
    assert Selection("Model").event_of(added) is None
    assert Selection("Skill", domain="other").event_of(added) is None
    assert Selection("Skill", domain="").event_of(added) is None
    assert Selection("Skill", domain="").event_of(change("ADDED", form(1), None, domain="")) is not None
    assert Selection("Skill", domain="d").event_of(added) is not None


def test_sql_uses_columns_and_the_label_index_where_it_can() -> None:
    labels = parse_selector("a=1,a=2,b in (3),c!=4")
    fields = parse_selector("metadata.name in (x,y),metadata.name in (y,z),metadata.domain in (d,e),spec.p.q=1")
    sql = Selection("Skill", "d", labels, fields).to_sql()
    assert (sql["kind"], sql["domains"], sql["names"]) == ("Skill", ["d"], ["y"])
    assert json.loads(sql["equal_labels"]) == {"a": "2"}
    assert [(t["path"], t["operator"], t["wanted"]) for t in json.loads(sql["terms"])] == [
        ('strict $."metadata"."labels"."a"', "in", ["1"]),
        ('strict $."metadata"."labels"."b"', "in", ["3"]),
        ('strict $."metadata"."labels"."c"', "notin", ["4"]),
        ('strict $."spec"."p"."q"', "in", ["1"]),
    ]
    everything = Selection("Skill").to_sql()
    assert (everything["domains"], everything["names"], everything["terms"]) == (None, None, "[]")


def test_queries_that_differ_have_different_digests() -> None:
    selections = [
        Selection("A"),
        Selection("B"),
        Selection("A", ""),
        Selection("A", "d"),
        Selection("A", labels=parse_selector("x=y")),
        Selection("A", fields=parse_selector("x=y")),
        Selection("A", labels=parse_selector("x!=y")),
        Selection("A", labels=parse_selector("x")),
    ]
    assert len({s.digest() for s in selections}) == len(selections)
