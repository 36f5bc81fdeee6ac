"""Start an execution on the server and wait for its end, so that a broken connection or Ctrl-C never loses it."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from aspora.cli.rest import ConnectionLost, Rest
from aspora.cli.targets import execution_word, split_name
from aspora.client.paths import api_path, object_path
from aspora.meta.errors import Unavailable

Wire = Mapping[str, Any]

TERMINAL = frozenset({"Succeeded", "Failed", "Cancelled"})
WAIT_SECONDS = 10
"""How long one answer is waited for in silence; a longer execution is followed event by event."""
PATIENCE_SECONDS = 30.0
"""How long a gateway may be away before we stop waiting."""
RETRY_SECONDS = 10.0
"""How long a gateway that asks to be asked again (503 with Retry-After) is asked again."""
_PAUSE_SECONDS = 0.5


def has_ended(execution: Wire) -> bool:
    """Whether nothing will change any more."""
    return execution["status"]["state"] in TERMINAL


def events_path(execution: Wire) -> str:
    """Where its events are."""
    metadata = execution["metadata"]
    return api_path("domains", metadata["domain"], "executions", metadata["name"], "events")


def is_execution(word: str) -> bool:
    """Whether a word names an execution rather than a skill, whose name has no upper case."""
    return word.rpartition("/")[2].startswith("EXEC-") or word.upper().startswith("EXEC-")


def execution_path(word: str, *, domain: str = "") -> str:
    """Where an execution is: by its id or the beginning of one, alone, as `hr/EXEC-…` or as `-o name` prints it.

    Raises:
        ValueError: It is no name, or two different domains were given.
    """
    where, name = split_name(word.removeprefix("execution/"), domain=domain)
    return object_path("executions", execution_word(name), domain=where)


class Submission:
    """One request to run a skill, which can be sent again without running twice.

    Args:
        rest: The connection.
        path: Of the skill's executions.
        body: The request.
        key: The idempotency key that makes sending again safe.
        on_wait: Told why it is sent again; once for each cause.
        monotonic: Seconds that never go back.
        sleep: Waits before trying again.
    """

    def __init__(
        self,
        rest: Rest,
        *,
        path: str,
        body: Wire,
        key: str,
        on_wait: Callable[[str], None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rest = rest
        self._path = path
        self._body = body
        self._headers = {"Idempotency-Key": key}
        self._on_wait = on_wait
        self._monotonic = monotonic
        self._sleep = sleep

    def send(self, *, wait_seconds: int) -> Wire:
        """The execution, ended if that takes no longer; sent again when the connection breaks or it is asked for.

        Raises:
            StatusError: As the server refused it.
        """
        started, was_lost, told = self._monotonic(), False, ""
        while True:
            try:
                return self._post(wait_seconds)
            except Unavailable as e:
                was_lost = was_lost or isinstance(e, ConnectionLost)
                if not was_lost and e.retry_after_seconds is None:
                    raise  # A gateway that was never there is not waited for; one that went away is.
                pause = e.retry_after_seconds or _PAUSE_SECONDS
                if self._monotonic() + pause > started + (PATIENCE_SECONDS if was_lost else RETRY_SECONDS):
                    raise
                if e.message != told:
                    told = e.message
                    self._on_wait(told)
            self._sleep(pause)

    def find(self) -> Wire:
        """The execution that was started, without waiting for it."""
        return self._post(0)

    def _post(self, wait_seconds: int) -> Wire:
        query = {"wait": wait_seconds}
        answer: Wire = self._rest.call("POST", self._path, query=query, body=self._body, headers=self._headers)
        return answer


def wait_for_end(
    rest: Rest,
    execution: Wire,
    *,
    on_event: Callable[[Wire], None],
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Wire:
    """Follow an execution until it has ended; a gateway that restarts meanwhile is waited for.

    Args:
        on_event: Told of each event once, in order.

    Returns:
        The execution as it ended.

    Raises:
        Unavailable: The gateway stays away; the execution may go on without it.
    """
    name, seen = execution["metadata"]["name"], 0
    give_up_at = monotonic() + PATIENCE_SECONDS
    while True:
        try:
            for number, event in enumerate(rest.stream(events_path(execution), query={"follow": "true"}), start=1):
                give_up_at = monotonic() + PATIENCE_SECONDS
                if number > seen:
                    seen = number
                    on_event(event)
            now: Wire = rest.call("GET", object_path("executions", name))
            if has_ended(now):
                return now
        except Unavailable as e:
            if monotonic() > give_up_at:
                raise Unavailable(
                    f"{e.message} (the execution {name} may go on; later: aspora logs {name}{rest.place})"
                ) from None
        sleep(_PAUSE_SECONDS)
