from typing import Any

import pytest

from aspora.cli.waiting import parse_wish, seconds_of


def skill(*, generation: int = 2, observed: int = 2, status: str = "True", **more: Any) -> dict[str, Any]:
    ready = {"type": "Ready", "status": status, "reason": "Deployed", "message": "serves it"}
    return {
        "metadata": {"name": "s", "generation": generation, **more},
        "status": {"observedGeneration": observed, "conditions": [ready], "latestVersion": "7", "on": True},
    }


@pytest.mark.parametrize(
    ("wish", "obj", "expected"),
    [
        ("condition=Ready", skill(), True),
        ("condition=ready", skill(), True),
        ("condition=Ready=false", skill(status="False"), True),
        ("condition=Ready", skill(status="False"), False),
        ("condition=Ready", skill(observed=1), False),
        ("condition=Healthy", skill(), False),
        ("condition=Ready", None, False),
        ("delete", None, True),
        ("delete", skill(), False),
        ("create", skill(), True),
        ("create", None, False),
        (".status.latestVersion=7", skill(), True),
        ("jsonpath={.status.latestVersion}=7", skill(), True),
        ("{$.status.latestVersion}=7", skill(), True),
        (".status.on=true", skill(), True),
        (".status.none.deeper=7", skill(), False),
        (".status.conditions=7", skill(), False),
    ],
)
def test_what_fulfils_a_wish(wish: str, obj: dict[str, Any] | None, expected: bool) -> None:
    assert parse_wish(wish).holds(obj) is expected


@pytest.mark.parametrize(
    "text", ["", "ready", "condition=", ".=x", "status.state=x", ".a..b=c", "=", "condition=Ready=so"]
)
def test_a_wish_that_is_none_says_what_would_do(text: str) -> None:
    with pytest.raises(ValueError, match="condition"):
        parse_wish(text)


def test_what_is_there_instead_is_shown() -> None:
    wish = parse_wish("condition=Ready")
    assert wish.shows(skill(status="False")) == "Ready is False, Deployed: serves it"
    assert "has not looked" in wish.shows(skill(observed=1))
    assert "no condition 'Healthy'" in parse_wish("condition=Healthy").shows(skill())
    held = skill(deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["a", "b"])
    assert parse_wish("delete").shows(held) == "it is held by a, b"
    assert parse_wish(".status.latestVersion=8").shows(skill()) == "status.latestVersion is '7'"


def test_durations() -> None:
    assert [seconds_of(t) for t in ("30s", "2m", "1h", "500ms", "7")] == [30, 120, 3600, 0.5, 7]
    for text in ("", "-1s", "1d", "s", "1.5s", "9" * 40):
        with pytest.raises(ValueError, match="duration"):
            seconds_of(text)
