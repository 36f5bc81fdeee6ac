import asyncio
from collections.abc import Mapping
from typing import Any

from aspora.kit.clock import SystemClock
from aspora.meta.errors import NotFound, StatusError, Unavailable
from aspora.reconcile.events import ClientEventRecorder

TOY = {"kind": "Skill", "metadata": {"name": "toy", "domain": "d", "uid": "u1"}}


class Inbox:
    """Takes events in, or fails as told."""

    def __init__(self, *errors: StatusError) -> None:
        self.errors = list(errors)
        self.posted: list[tuple[str, Mapping[str, Any]]] = []

    async def read(self, path: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        raise NotFound(path)

    async def post(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.errors:
            raise self.errors.pop(0)
        self.posted.append((path, body))
        return body


async def run(recorder: ClientEventRecorder) -> None:
    stop = asyncio.Event()
    stop.set()
    async with asyncio.timeout(30):
        await recorder.run(stop)


async def test_an_event_names_its_object_and_reporter_and_is_handed_in_even_at_the_stop() -> None:
    inbox = Inbox()
    recorder = ClientEventRecorder(inbox, controller="skill-controller", clock=SystemClock())
    recorder.record(TOY, "RouteMoved", "production serves x", type_="Warning")
    await run(recorder)
    [(path, event)] = inbox.posted
    assert path == "/api/v1/domains/d/events"
    assert event["regarding"] == {"kind": "Skill", "name": "toy", "domain": "d", "uid": "u1"}
    assert (event["reason"], event["type"], event["reportingController"]) == (
        "RouteMoved",
        "Warning",
        "skill-controller",
    )


async def test_a_cluster_wide_object_has_its_event_without_a_domain() -> None:
    inbox = Inbox()
    recorder = ClientEventRecorder(inbox, controller="c", clock=SystemClock())
    recorder.record({"kind": "Domain", "metadata": {"name": "d", "uid": "u"}}, "Seen", "")
    await run(recorder)
    assert inbox.posted[0][0] == "/api/v1/events"


async def test_what_can_not_be_handed_in_is_dropped_and_the_next_goes_on() -> None:
    inbox = Inbox(NotFound("no events here"), Unavailable("away"))
    recorder = ClientEventRecorder(inbox, controller="c", clock=SystemClock(), max_waiting=3)
    for n in range(5):
        recorder.record(TOY, f"R{n}", "")
    await run(recorder)
    assert [event["reason"] for _, event in inbox.posted] == ["R2"]
    assert recorder.dropped == 4


async def test_it_hands_in_while_it_runs() -> None:
    inbox = Inbox()
    recorder = ClientEventRecorder(inbox, controller="c", clock=SystemClock())
    stop = asyncio.Event()
    task = asyncio.create_task(recorder.run(stop))
    recorder.record(TOY, "R", "")
    async with asyncio.timeout(30):
        while not inbox.posted:
            await asyncio.sleep(0)
        stop.set()
        await task
