"""Write `fixtures/orders.json`: made-up orders from a fixed seed. No real customer, address or parcel."""

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

SEED = 20260302
AS_OF = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
COUNT = 60
FIRST_NUMBER = 10200
STEPS = ["placed", "paid", "packed", "shipped", "out_for_delivery", "delivered"]
ITEMS = ["kettle", "desk lamp", "running shoes", "paperback", "headphones", "rain jacket", "coffee beans", "phone case"]
SERVICES = ["express", "standard", "standard", "economy"]
EARLY_DELAYS = [
    ["payment_review", "address_incomplete"],
    ["out_of_stock", "address_incomplete"],
    ["out_of_stock", "carrier_capacity"],
]
LATE_DELAYS = ["weather", "customs", "carrier_capacity", "lost_in_transit", "address_incomplete"]


def business_days_after(day: datetime, count: int) -> datetime:
    while count > 0:
        day += timedelta(days=1)
        count -= day.weekday() < 5
    return day


def order(made: random.Random, number: int) -> dict[str, object]:
    """One order with a timeline that ends at its status."""
    reached = made.choice([0, 1, 2, 3, 3, 3, 4, 5, 5])
    service = made.choice(SERVICES)
    travel = {"express": 1, "standard": 3, "economy": 6}[service]
    start = AS_OF - timedelta(days=made.randrange(1, 7) + 2 * reached, hours=made.randrange(1, 9))
    span = (AS_OF - start) * 0.9
    times = [start, *(start + span * share for share in sorted(made.random() for _ in range(reached)))]
    if STEPS[reached] == "out_for_delivery":
        times[-1] = AS_OF - timedelta(minutes=made.randrange(20, 120))
    timeline = [
        {"at": at.replace(microsecond=0).isoformat(), "event": step} for at, step in zip(times, STEPS, strict=False)
    ]
    status = STEPS[reached]
    if reached <= 2 and made.random() < 0.15:
        status = "cancelled"
        timeline.append({"at": (AS_OF - timedelta(hours=2)).isoformat(), "event": "cancelled"})
    delay = None
    if status in STEPS[:4] and made.random() < 0.45:
        code = made.choice(LATE_DELAYS if reached == 3 else EARLY_DELAYS[reached])
        delay = {"code": code, "since": (times[-1] + (AS_OF - times[-1]) * made.random() / 2).date().isoformat()}
    return {
        "id": f"ORD-{number}",
        "customer_id": f"CUST-{made.randrange(1001, 1021)}",
        "status": status,
        "service": service,
        "tracking": f"SAMPLE{made.randrange(10**8, 10**9)}" if reached >= 3 else None,
        "promised_by": business_days_after(start, 4 + travel).date().isoformat(),
        "items": [
            {"name": name, "quantity": made.randrange(1, 3)} for name in made.sample(ITEMS, made.randrange(1, 4))
        ],
        "timeline": timeline,
        "delay": delay,
    }


def orders() -> dict[str, object]:
    """The whole file."""
    made = random.Random(SEED)
    return {
        "label": f"Sample data, made up by scripts/make_fixtures.py with seed {SEED}; no real person or parcel",
        "as_of": AS_OF.isoformat(),
        "orders": [order(made, FIRST_NUMBER + number) for number in range(COUNT)],
    }


if __name__ == "__main__":
    path = Path(__file__).parents[1] / "fixtures" / "orders.json"
    path.write_text(json.dumps(orders(), indent=1) + "\n", encoding="utf-8")
