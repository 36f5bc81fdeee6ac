"""Write `fixtures/*.json` and `tests/golden.jsonl`: made-up transactions from a fixed seed.

No real person, card or merchant. Three customers: one whose day is ordinary, one whose card makes ten purchases within
a minute, and a commuter whose transit taps and renewing subscriptions look fast and are not (the known false positive).
"""

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

SEED = 20260302
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SHOPS = ["Grocer North", "Bakery Ring", "Book Corner", "Pharmacy Hill", "Fuel Stop 7", "Cafe Linde"]
SUBSCRIPTIONS = [
    ("Stream One", 1299),
    ("Music Box", 999),
    ("Cloud Disk", 299),
    ("News Daily", 1490),
    ("Gym Club", 3990),
]
LABEL = f"Sample data, made up by scripts/make_fixtures.py with seed {SEED}; no real person, card or merchant"
FOLDER = Path(__file__).parents[1]


def transaction(
    number: int, at: datetime, amount_minor: int, merchant: str, channel: str = "card"
) -> dict[str, object]:
    return {
        "id": f"t{number:03d}",
        "at": at.isoformat(),
        "amount_minor": amount_minor,
        "merchant": merchant,
        "channel": channel,
    }


def history(made: random.Random, days: int) -> list[dict[str, object]]:
    """Three to five purchases on each of the days before noon's day."""
    moments = [
        NOON - timedelta(days=day) + timedelta(minutes=made.randrange(-240, 540))
        for day in range(days, 0, -1)
        for _ in range(made.randrange(3, 6))
    ]
    return [transaction(i, at, made.randrange(300, 6000), made.choice(SHOPS)) for i, at in enumerate(moments)]


def normal(made: random.Random) -> list[dict[str, object]]:
    past = history(made, 30)
    return [
        *past,
        transaction(900, NOON - timedelta(minutes=41), 1840, "Bakery Ring"),
        transaction(901, NOON, 4250, "Grocer North"),
    ]


def ten_in_a_minute(made: random.Random) -> list[dict[str, object]]:
    past = history(made, 30)
    burst = [
        transaction(
            900 + i, NOON + timedelta(seconds=6 * i), 100 * 2**i, f"Web Shop {made.randrange(10, 99)}", "ecommerce"
        )
        for i in range(10)
    ]
    return [*past, *burst]


def commuter(made: random.Random) -> list[dict[str, object]]:
    past = history(made, 60)
    earlier = [
        transaction(500 + 10 * month + i, NOON - timedelta(days=30 * month, minutes=i), amount, name, "subscription")
        for month in (1, 2)
        for i, (name, amount) in enumerate(SUBSCRIPTIONS)
    ]
    renewals = [
        transaction(900 + i, NOON + timedelta(seconds=7 * i), amount, name, "subscription")
        for i, (name, amount) in enumerate(SUBSCRIPTIONS)
    ]
    taps = [
        transaction(920 + i, NOON - timedelta(minutes=8 * i), made.choice([180, 260, 340]), "City Transit", "transit")
        for i in range(6)
    ]
    coffee = transaction(940, NOON - timedelta(minutes=5), 420, "Cafe Linde")
    return [*past, *earlier, *renewals, *taps, coffee]


def cases() -> list[dict[str, object]]:
    """The skill's three golden cases."""
    return [
        {
            "id": "normal-pattern",
            "description": "two purchases in an hour by somebody who makes four a day",
            "input": {"user_message": "velocity check", "metadata": {"transactions": normal(random.Random(SEED))}},
            "expect": {"success": True, "data.velocity_score": {"lt": 0.5}, "data.level": "normal"},
        },
        {
            "id": "ten-in-a-minute",
            "description": "ten purchases at unknown shops within a minute, each twice the last: card testing",
            "input": {
                "user_message": "velocity check",
                "metadata": {"transactions": ten_in_a_minute(random.Random(SEED + 1))},
            },
            "expect": {
                "success": True,
                "data.velocity_score": {"gt": 0.9},
                "data.level": "critical",
                "message": {"contains": ["within one minute", "rise step by step"]},
            },
        },
        {
            "id": "commuter-on-renewal-day",
            "description": "known false positive: five subscriptions renew at once while the customer commutes",
            "input": {
                "user_message": "velocity check",
                "metadata": {"transactions": commuter(random.Random(SEED + 2))},
            },
            "expect": {"success": True, "data.velocity_score": {"lt": 0.7}, "data.set_apart": {"length": 11}},
        },
    ]


def files() -> dict[str, str]:
    """Path in the skill's folder to content."""
    made = cases()
    lines = "".join(json.dumps(case, separators=(",", ":")) + "\n" for case in made)
    fixtures = {
        f"fixtures/{case['id']}.json": json.dumps({"label": LABEL, **case["input"]["metadata"]}, indent=1) + "\n"
        for case in made
    }
    return {"tests/golden.jsonl": lines, **fixtures}


if __name__ == "__main__":
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
