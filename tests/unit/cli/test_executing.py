from typing import Any

import pytest

from aspora.cli.executing import Submission, execution_path, is_execution, wait_for_end
from aspora.cli.rest import ConnectionLost
from aspora.meta.errors import Unavailable

PATH = "/api/v1/domains/d/skills/s/executions"
RUNNING = {"metadata": {"name": "EXEC-1", "domain": "d"}, "status": {"state": "Running"}}
ENDED = {"metadata": {"name": "EXEC-1", "domain": "d"}, "status": {"state": "Succeeded"}}


class Posts:
    """Answers to POSTs in order; errors are raised."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.sent: list[dict[str, Any]] = []

    def call(self, method: str, path: str, **given: Any) -> Any:
        self.sent.append({"method": method, "path": path, **given})
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def submission(rest: Any, clock: Clock) -> Submission:
    return Submission(rest, path=PATH, body={"input": {}}, key="k1", monotonic=clock.monotonic, sleep=clock.sleep)


def test_a_broken_connection_is_answered_by_sending_the_same_key_again() -> None:
    rest = Posts(ConnectionLost("hung up"), Unavailable("restarting"), ENDED)
    assert submission(rest, Clock()).send(wait_seconds=60) == ENDED
    assert {call["headers"]["Idempotency-Key"] for call in rest.sent} == {"k1"}
    assert len(rest.sent) == 3


def test_a_gateway_that_was_never_there_is_not_waited_for() -> None:
    rest = Posts(Unavailable("no gateway answers"))
    with pytest.raises(Unavailable, match="no gateway answers"):
        submission(rest, Clock()).send(wait_seconds=60)


def test_a_gateway_that_stays_away_is_given_up() -> None:
    clock = Clock()
    rest = Posts(*[ConnectionLost("hung up")] * 200)
    with pytest.raises(ConnectionLost):
        submission(rest, clock).send(wait_seconds=60)
    assert 29 < clock.now <= 30


def test_a_gateway_that_asks_to_be_asked_again_is_asked_as_it_says() -> None:
    clock, told = Clock(), list[str]()
    soon = Unavailable("no executor yet", retry_after_seconds=2)
    rest: Any = Posts(soon, soon, ENDED)
    asked = Submission(
        rest, path=PATH, body={}, key="k1", on_wait=told.append, monotonic=clock.monotonic, sleep=clock.sleep
    )
    assert asked.send(wait_seconds=60) == ENDED
    assert (clock.now, told) == (4.0, ["no executor yet"])


def test_but_not_for_ever() -> None:
    clock = Clock()
    with pytest.raises(Unavailable, match="no executor yet"):
        submission(Posts(*[Unavailable("no executor yet", retry_after_seconds=2)] * 20), clock).send(wait_seconds=60)
    assert clock.now == 10


def test_finding_again_does_not_wait() -> None:
    rest = Posts(RUNNING)
    assert submission(rest, Clock()).find() == RUNNING
    assert rest.sent[0]["query"] == {"wait": 0}


def test_following_goes_on_after_a_break_and_tells_each_event_once(gateway: Any) -> None:
    clock = Clock()
    gateway.objects["/api/v1/executions/EXEC-1"] = ENDED
    one, two, three = ({"type": "Log", "data": {"n": n}} for n in (1, 2, 3))
    gateway.streams = [[one, two, ConnectionLost("broke")], [one, two, three]]
    told: list[Any] = []
    end = wait_for_end(gateway, RUNNING, on_event=told.append, monotonic=clock.monotonic, sleep=clock.sleep)
    assert end == ENDED
    assert told == [one, two, three]


def test_a_stream_that_ends_early_is_followed_anew(gateway: Any) -> None:
    clock = Clock()
    gateway.objects["/api/v1/executions/EXEC-1"] = RUNNING
    gateway.streams = [[], []]

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        gateway.objects["/api/v1/executions/EXEC-1"] = ENDED

    assert wait_for_end(gateway, RUNNING, on_event=lambda _: None, monotonic=clock.monotonic, sleep=sleep) == ENDED


def test_a_gateway_that_stays_away_leaves_the_execution_to_itself(gateway: Any) -> None:
    clock = Clock()
    gateway.streams = [[Unavailable("gone")] for _ in range(200)]  # type: ignore[list-item]
    with pytest.raises(Unavailable, match="aspora logs EXEC-1"):
        wait_for_end(gateway, RUNNING, on_event=lambda _: None, monotonic=clock.monotonic, sleep=clock.sleep)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("exec-2026AB", "/api/v1/executions/EXEC-2026ab"),
        ("hr/EXEC-2026", "/api/v1/domains/hr/executions/EXEC-2026"),
        ("execution/hr/EXEC-2026", "/api/v1/domains/hr/executions/EXEC-2026"),
        ("execution/EXEC-2026", "/api/v1/executions/EXEC-2026"),
    ],
)
def test_an_execution_by_every_name_that_is_printed(word: str, expected: str) -> None:
    assert is_execution(word)
    assert execution_path(word) == expected


def test_a_skill_is_no_execution_and_domains_must_agree() -> None:
    assert not is_execution("hr/exec-report")
    with pytest.raises(ValueError, match="leave one out"):
        execution_path("execution/hr/EXEC-2026", domain="fraud")
