"""Write `fixtures/sample_goals.json`: made-up goals from a fixed seed, to try the skill with."""

import json
import random
from datetime import date, timedelta
from pathlib import Path

SEED = 20260101
COUNT = 12
START = date(2026, 1, 1)
TYPES = ["emergency_fund", "house", "education", "retirement", "travel", "wedding", "other"]


def sample_goals() -> list[dict[str, object]]:
    """Goals of each type over a wide range of amounts and dates."""
    made = random.Random(SEED)
    goals = []
    for number in range(COUNT):
        years = made.choice([1, 2, 4, 6, 10, 15, 25])
        target = made.randrange(2, 200) * 1000
        goals.append(
            {
                "name": f"sample goal {number + 1}",
                "goal_type": TYPES[number % len(TYPES)],
                "target_amount": target,
                "currency": made.choice(["EUR", "GBP", "USD", "INR", "JPY"]),
                "target_date": (START + timedelta(days=365 * years)).isoformat(),
                "monthly_contribution": target * made.randrange(40, 140) // 100 // (12 * years),
                "current_savings": target * made.randrange(0, 40) // 100,
                "risk_tolerance": made.choice(["low", "medium", "high"]),
                "as_of": START.isoformat(),
            }
        )
    return goals


if __name__ == "__main__":
    path = Path(__file__).parents[1] / "fixtures" / "sample_goals.json"
    whole = {
        "label": f"Sample data, made up by scripts/make_fixtures.py with seed {SEED}; no real person",
        "goals": sample_goals(),
    }
    path.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
