"""Rows and sections for people."""

from datetime import UTC, datetime, timedelta

import pytest

from aspora.apis.kind import Column, Section
from aspora.gateway.tables import age_text, description, object_columns
from aspora.meta.objects import rfc3339

NOW = datetime(2026, 2, 18, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59, "59s"), (60, "1m"), (65, "1m5s"), (3600, "1h"), (3661, "1h1m"), (90_000, "1d1h"), (-5, "0s")],
)
def test_age_in_its_two_largest_units(seconds: int, text: str) -> None:
    assert age_text(rfc3339(NOW - timedelta(seconds=seconds)), now=NOW) == text


def test_a_column_that_fails_hides_no_other_object() -> None:
    columns = (Column("ROLE", "spec.role"), Column("ODD", lambda o: str(o["spec"]["odd"]), wide=True))
    form = object_columns(columns, with_domain=True, now=lambda: NOW)
    good = {
        "metadata": {"name": "a", "domain": "d", "creationTimestamp": rfc3339(NOW)},
        "spec": {"role": "r", "odd": 1},
    }
    bad = {"metadata": {"name": "b", "domain": "d"}, "spec": {}}
    table = form.table([good, bad], metadata={"resourceVersion": "7"})
    assert [c["name"] for c in table["columnDefinitions"]] == ["DOMAIN", "NAME", "ROLE", "ODD", "AGE"]
    assert [r["cells"] for r in table["rows"]] == [["d", "a", "r", "1", "0s"], ["d", "b", "", "<unknown>", ""]]
    assert [c["wide"] for c in table["columnDefinitions"]] == [False, False, False, True, False]


def test_empty_sections_are_left_out() -> None:
    body = description([Section("A", (("x", "1"),)), Section("B", ())])
    assert body["sections"] == [{"title": "A", "rows": [["x", "1"]]}]
