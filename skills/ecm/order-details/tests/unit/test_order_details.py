"""Orders against the fixture and the runbook read another way, and who may see what."""

import json
import re
from datetime import date, timedelta
from pathlib import Path

import pytest

from aspora_sdk import load_skill, load_test_cases

HERE = Path(__file__).parents[2]
SKILL = load_skill("ecm/order-details")
OUTLOOK, RUNBOOK = SKILL.module("outlook"), SKILL.module("runbook")
WHOLE = json.loads((HERE / "fixtures" / "orders.json").read_text(encoding="utf-8"))
PAGE = (HERE / "references" / "runbook.md").read_text(encoding="utf-8")
ORDERS = {order["id"]: order for order in WHOLE["orders"]}
TODAY = date.fromisoformat(WHOLE["as_of"][:10])
OPEN = ("placed", "paid", "packed", "shipped", "out_for_delivery")


@pytest.mark.parametrize("case", load_test_cases(HERE / "tests" / "golden.jsonl"), ids=lambda case: case.id)
def test_golden(case) -> None:
    case.check(SKILL.execute(case))


def cell(key: str, column: int) -> str:
    """The runbook's cell in the row that begins with `key`, found without the skill's own reader."""
    row = next(line for line in PAGE.splitlines() if re.match(rf"\| {key} \|", line))
    return row.split("|")[column + 1].strip()


def on_business_days(day: date, count: int) -> date:
    later = [day + timedelta(days=step) for step in range(1, 60)]
    return ([day] + [each for each in later if each.weekday() < 5])[count]


def expected_day(order) -> date:
    since = date.fromisoformat(order["timeline"][-1]["at"][:10])
    extra = int(cell(order["delay"]["code"], 2)) if order["delay"] else 0
    if order["status"] == "out_for_delivery":
        return TODAY
    travel = int(cell(order["service"], 1))
    if order["status"] == "shipped":
        return max(on_business_days(since, travel + extra), TODAY)
    handover = int(re.search(rf"\| {order['status']} \| (\d) \|", PAGE)[1])
    return on_business_days(max(on_business_days(since, handover + extra), TODAY), travel)


def test_every_order_gets_the_day_its_runbook_rows_give() -> None:
    seen = set()
    for order_id, order in ORDERS.items():
        result = SKILL.execute(order_id=order_id)
        told = result.data["orders"][0]
        seen.add((order["status"], bool(order["delay"])))
        if order["status"] not in OPEN:
            assert (told["eta"], told["late_days"], result.confidence) == (None, None, 1.0)
            continue
        eta = expected_day(order)
        assert told["eta"] == eta.isoformat(), order
        assert told["late_days"] == (eta - date.fromisoformat(order["promised_by"])).days
        assert ("in time" in result.message) is (told["late_days"] <= 0)
        if order["delay"]:
            assert told["delay"]["explanation"] == cell(order["delay"]["code"], 1)
            assert told["next_step"] == cell(order["delay"]["code"], 3)
    assert {status for status, _ in seen} == {*OPEN, "delivered", "cancelled"}
    assert {late for _, late in seen} == {True, False}


def test_a_delay_is_escalated_once_it_is_older_than_the_runbook_allows() -> None:
    runbook = RUNBOOK.read_runbook(PAGE)
    as_of = OUTLOOK.datetime.fromisoformat(WHOLE["as_of"])
    order = next(order for order in ORDERS.values() if order["status"] == "shipped")
    limit = int(cell("weather", 4))
    since = [TODAY - timedelta(days=step) for step in range(14)]
    for day in since:
        age = sum((day + timedelta(days=step)).weekday() < 5 for step in range(1, (TODAY - day).days + 1))
        outlook = OUTLOOK.look_ahead(order | {"delay": {"code": "weather", "since": day.isoformat()}}, runbook, as_of)
        assert outlook.escalate is (age > limit)


def test_a_customer_sees_own_orders_only_and_cannot_tell_foreign_from_unknown() -> None:
    customer = "CUST-1003"
    for order_id, order in ORDERS.items():
        result = SKILL.execute({"user_message": order_id, "user_id": customer})
        assert result.success is (order["customer_id"] == customer)
        if not result.success:
            unknown = SKILL.execute({"user_message": "ORD-99999", "user_id": customer})
            assert result.message.replace(order_id, "ORD-99999") == unknown.message
    mine = SKILL.execute({"user_message": "where is my order", "user_id": customer}).data["orders"]
    open_ids = [o["id"] for o in ORDERS.values() if o["customer_id"] == customer and o["status"] in OPEN]
    assert [order["id"] for order in mine] == open_ids
    assert "customer_id" not in mine[0]


@pytest.mark.parametrize(
    ("asked", "found", "malformed"),
    [
        ("ORD-10234", ["ORD-10234"], []),
        ("ord 10234 ORD10234 ORD-10234", ["ORD-10234"], []),
        ("ORD-102345", [], ["ORD-102345"]),
        ("ORD-12", [], ["ORD-12"]),
        ("order number 77", [], ["order number 77"]),
        ("order #1234x", [], ["order #1234x"]),
        ("my order of 3 kettles", [], []),
    ],
)
def test_numbers_as_people_write_them(asked: str, found: list[str], malformed: list[str]) -> None:
    data = SKILL.execute(asked).data
    assert [order["id"] for order in data["orders"]] == found
    assert data.get("malformed", []) == malformed


def test_metadata_takes_one_or_several_and_says_what_is_no_number() -> None:
    data = SKILL.execute(order_id=["ORD-10234", "ten"]).data
    assert [order["id"] for order in data["orders"]] == ["ORD-10234"]
    assert data["malformed"] == ["ten"]
    assert SKILL.execute(order_id=10234).data["reason"] == "malformed_order_id"


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("## Delays", "## Delay", "no table under the heading 'Delays'"),
        ("| express | 1 |", "| express | one |", "not a number"),
        ("| shipped | it is", "| sent | it is", "no row for status 'shipped'"),
    ],
)
def test_a_runbook_that_lacks_something_says_what(before: str, after: str, words: str) -> None:
    as_of = OUTLOOK.datetime.fromisoformat(WHOLE["as_of"])
    order = next(order for order in ORDERS.values() if order["status"] == "shipped")
    assert before in PAGE
    with pytest.raises(RUNBOOK.RunbookError, match=re.escape(words)):
        OUTLOOK.look_ahead(order, RUNBOOK.read_runbook(PAGE.replace(before, after)), as_of)


def test_the_sample_orders_are_labelled_and_reproducible() -> None:
    assert WHOLE["label"].startswith("Sample data")
    assert SKILL.module("scripts.make_fixtures").orders() == WHOLE
    assert SKILL.execute(order_id="ORD-10234").data["sample_data"] == WHOLE["label"]
