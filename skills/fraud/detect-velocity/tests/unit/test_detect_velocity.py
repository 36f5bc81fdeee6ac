"""The three shipped cases, the formula against an independent one, and the ways to hide or to be wrongly accused."""

import json
import math
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aspora_sdk import load_skill, load_test_cases

HERE = Path(__file__).parents[2]
SKILL = load_skill("fraud/detect-velocity")
SIGNALS = SKILL.module("signals")
CASES = {case.id: case for case in load_test_cases(HERE / "tests" / "golden.jsonl")}
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
BASELINE = {"transactions_per_day": 4, "typical_amount_minor": 2500, "merchants_per_day": 2}


def transaction(seconds: float, amount_minor: int = 2500, merchant: str = "Shop", channel: str = "card"):
    at = (NOON + timedelta(seconds=seconds)).isoformat()
    return {
        "id": f"t{seconds}{merchant}",
        "at": at,
        "amount_minor": amount_minor,
        "merchant": merchant,
        "channel": channel,
    }


def score(transactions, **metadata) -> float:
    result = SKILL.execute(transactions=transactions, **{"baseline": BASELINE, **metadata})
    assert result.success is True, result.message
    return result.data["velocity_score"]


def test_a_normal_pattern_scores_below_a_half() -> None:
    result = SKILL.execute(CASES["normal-pattern"])
    assert result.data["velocity_score"] < 0.5
    CASES["normal-pattern"].check(result)


def test_ten_in_a_minute_score_above_nine_tenths() -> None:
    result = SKILL.execute(CASES["ten-in-a-minute"])
    assert result.data["velocity_score"] > 0.9
    CASES["ten-in-a-minute"].check(result)


def test_the_known_false_positive_stays_below_seven_tenths() -> None:
    result = SKILL.execute(CASES["commuter-on-renewal-day"])
    assert result.data["velocity_score"] < 0.7
    CASES["commuter-on-renewal-day"].check(result)


def test_without_the_benign_patterns_the_false_positive_would_be_one() -> None:
    made = CASES["commuter-on-renewal-day"].input.metadata["transactions"]
    disguised = [item | {"channel": "card", "merchant": f"{item['merchant']} {item['id']}"} for item in made]
    assert SKILL.execute(transactions=disguised).data["velocity_score"] > 0.9


def test_ten_plain_purchases_in_a_minute_are_enough_even_without_history() -> None:
    assert score([transaction(6 * i) for i in range(10)]) > 0.9
    result = SKILL.execute(transactions=[transaction(6 * i) for i in range(10)])
    assert result.data["velocity_score"] > 0.9
    assert result.data["baseline"]["source"] == "default"
    assert result.confidence == 0.6
    assert "second look" in result.message


def test_the_same_speed_is_ordinary_for_somebody_who_buys_all_day() -> None:
    hour = [transaction(300 * i) for i in range(12)]
    assert score(hour, baseline=BASELINE | {"transactions_per_day": 180}) < 0.1
    assert score(hour) > 0.7


def test_more_never_scores_less() -> None:
    scores = [score([transaction(5 * i) for i in range(count)]) for count in range(1, 15)]
    assert scores == sorted(scores)
    assert scores[0] < 0.1


def test_an_attacker_does_not_hide_behind_transit_or_a_first_subscription() -> None:
    assert score([transaction(6 * i, 9000, channel="transit") for i in range(10)]) > 0.9
    assert score([transaction(6 * i, 900, f"Sub {i}", "subscription") for i in range(10)]) > 0.9
    assert score([transaction(i, 100, channel="transit") for i in range(60)]) > 0.9
    assert score([transaction(6 * i, 100, channel="transit") for i in range(6)]) < 0.3


def test_large_amounts_or_merchants_alone_do_not_pass_a_half() -> None:
    assert 0.3 < score([transaction(0, 10_000_000)]) <= 0.5
    assert score([transaction(0)]) == 0.0
    assert score([transaction(0, 10_000_000)], baseline=BASELINE | {"typical_amount_minor": 10_000_000}) == 0.0


def test_rising_amounts_score_more_than_falling_ones() -> None:
    rising = [transaction(400 * i, 100 * 3**i) for i in range(6)]
    falling = [transaction(400 * i, 100 * 3 ** (5 - i)) for i in range(6)]
    assert score(rising) > score(falling) + 0.05


def test_the_poisson_tail_equals_an_independent_sum() -> None:
    for mean in (0.004, 0.3, 2.0, 11.5):
        for count in range(40):
            exact = math.fsum(
                math.exp(-mean + k * math.log(mean) - math.lgamma(k + 1)) for k in range(count, count + 150)
            )
            assert SIGNALS.log_poisson_tail(count, mean) == pytest.approx(math.log(exact), rel=1e-9, abs=1e-12)


def test_the_densest_minute_equals_a_search_over_all_stretches() -> None:
    made = random.Random(5)
    for _ in range(50):
        seconds = sorted(made.uniform(0, 600) for _ in range(made.randrange(0, 40)))
        items = SKILL.module("transactions").read_transactions([transaction(second) for second in seconds])
        hour = SIGNALS.weigh(items, {})
        most = max((sum(start <= s < start + 60 for s in seconds) for start in seconds), default=0)
        assert SIGNALS.densest(hour, timedelta(minutes=1)) == most


def test_the_score_is_the_noisy_or_of_the_signals_it_shows() -> None:
    for case in CASES.values():
        data = SKILL.execute(case).data
        rest = 1.0
        for name, value in data["signals"].items():
            assert 0 <= value <= 1
            rest *= 1 - SIGNALS.WEIGHTS[name] * value
        assert data["velocity_score"] == pytest.approx(1 - rest, abs=1e-3)


def test_the_scoring_page_names_the_weights_of_the_code() -> None:
    page = (HERE / "references" / "scoring.md").read_text(encoding="utf-8")
    for name, weight in SIGNALS.WEIGHTS.items():
        assert next(line for line in page.splitlines() if line.startswith(f"| {name} |")).endswith(f"| {weight:.2f} |")


def test_order_repeats_offsets_and_later_transactions_do_not_matter() -> None:
    burst = [transaction(6 * i) for i in range(5)]
    shifted = [item | {"at": datetime.fromisoformat(item["at"]).astimezone().isoformat()} for item in reversed(burst)]
    assert score(burst) == score(shifted) == score(burst + burst)
    later = [transaction(7200 + i) for i in range(20)]
    assert score(burst + later, as_of=(NOON + timedelta(seconds=24)).isoformat()) == score(burst)


def test_nothing_to_score_is_said_so() -> None:
    for metadata in ({"transactions": []}, {"transactions": [transaction(0)], "as_of": "2027-01-01T00:00:00Z"}):
        result = SKILL.execute(**metadata)
        assert (result.success, result.data["velocity_score"], result.confidence) == (True, 0.0, 0.3)


def test_the_baseline_is_learned_from_a_week_or_more() -> None:
    data = SKILL.execute(CASES["normal-pattern"]).data
    assert data["baseline"]["source"] == "learned"
    assert 3 <= data["baseline"]["transactions_per_day"] <= 5
    assert data["history"] + data["scored"] == len(CASES["normal-pattern"].input.metadata["transactions"])


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({}, "must be a list"),
        ({"transactions": [3]}, "transactions[0] is 3"),
        ({"transactions": [transaction(0) | {"at": "noon"}]}, "transactions[0].at is 'noon'"),
        ({"transactions": [transaction(0) | {"at": "2026-03-02T12:00:00"}]}, "without an offset"),
        ({"transactions": [transaction(0) | {"amount_minor": 1.5}]}, "amount_minor is 1.5"),
        ({"transactions": [transaction(0) | {"amount_minor": -1}]}, "zero or more"),
        ({"transactions": [transaction(0) | {"amount_minor": True}]}, "amount_minor is True"),
        ({"transactions": [transaction(0) | {"merchant": " "}]}, "merchant"),
        ({"transactions": [transaction(0) | {"channel": "pigeon"}]}, "pigeon"),
        ({"transactions": [], "as_of": "later"}, "as_of is 'later'"),
        ({"transactions": [], "baseline": {"transactions_per_day": 0}}, "above zero"),
        ({"transactions": [], "baseline": {"per_day": 1}}, "unknown baseline.per_day"),
        ({"transactions": [], "baseline": []}, "baseline is []"),
        ({"transactions": [transaction(0) | {"at": 1}] * 9}, "and 4 more"),
    ],
)
def test_what_cannot_be_scored_is_refused_with_its_place(metadata, words: str) -> None:
    result = SKILL.execute(**metadata)
    assert result.success is False
    assert words in result.message


def test_the_sample_data_is_labelled_and_reproducible() -> None:
    for name, text in SKILL.module("scripts.make_fixtures").files().items():
        assert (HERE / name).read_text(encoding="utf-8") == text, name
        if name.startswith("fixtures/"):
            assert json.loads(text)["label"].startswith("Sample data")
