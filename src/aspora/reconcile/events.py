"""What controllers say of objects, for people: `RevisionCreated`, `RouteMoved`. Best effort: work never waits."""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from typing import Any, Literal, Protocol

from aspora.client.interface import Records, Wire
from aspora.client.paths import object_path
from aspora.kit.clock import Clock
from aspora.kit.supervise import flush_when_told
from aspora.meta.errors import API_VERSION, MethodNotAllowed, NotFound, StatusError
from aspora.meta.objects import rfc3339

EventType = Literal["Normal", "Warning"]

PLURAL = "events"
MAX_WAITING = 1000
_log = logging.getLogger(__name__)


class EventRecorder(Protocol):
    """Takes note of what happened to an object."""

    def record(self, obj: Wire, reason: str, message: str, *, type_: EventType = "Normal") -> None:
        """Note an event; returns at once and never fails.

        Args:
            obj: What it happened to, with its uid.
            reason: CamelCase, one word for one thing.
            message: For people; the same words for the same thing, so that repetitions can be counted.
            type_: `Warning` for what somebody should look at.
        """
        ...


class NoEvents:
    """Notes nothing."""

    def record(self, obj: Wire, reason: str, message: str, *, type_: EventType = "Normal") -> None:
        """Do nothing."""


class ClientEventRecorder:
    """Hands events in at the API while `run` runs; when too many wait, the newest are dropped and counted.

    Args:
        records: Where to hand them in.
        controller: Who reports.
        clock: For the events' times.
    """

    def __init__(self, records: Records, *, controller: str, clock: Clock, max_waiting: int = MAX_WAITING) -> None:
        self._records = records
        self._controller = controller
        self._clock = clock
        self._max_waiting = max_waiting
        self._waiting: deque[Mapping[str, Any]] = deque()
        self._any = asyncio.Event()
        self.dropped = 0

    def record(self, obj: Wire, reason: str, message: str, *, type_: EventType = "Normal") -> None:
        """Note an event."""
        metadata = obj["metadata"]
        now = rfc3339(self._clock.now())
        domain = {"domain": metadata["domain"]} if metadata.get("domain") else {}
        event = {
            "apiVersion": API_VERSION,
            "kind": "Event",
            "metadata": domain,
            "regarding": {"kind": obj["kind"], "name": metadata["name"], "uid": metadata.get("uid", ""), **domain},
            "reason": reason,
            "message": message,
            "type": type_,
            "reportingController": self._controller,
            "firstTimestamp": now,
            "lastTimestamp": now,
        }
        if len(self._waiting) >= self._max_waiting:
            self.dropped += 1
            return
        self._waiting.append(event)
        self._any.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Hand in what is noted until `stop`, then what still waits."""
        await flush_when_told(self._any, self._flush, stop)

    async def _flush(self) -> None:
        while self._waiting:
            await self._hand_in(self._waiting.popleft())

    async def _hand_in(self, event: Mapping[str, Any]) -> None:
        path = object_path(PLURAL, domain=event["metadata"].get("domain", ""))
        try:
            await self._records.post(path, event)
        except (NotFound, MethodNotAllowed):
            self.dropped += 1  # This gateway keeps no events, or the object's domain is gone.
        except StatusError as e:
            self.dropped += 1
            _log.warning("an event was dropped", extra={"event": event["reason"], "reason": e.reason})
