"""Apply many wanted objects: write all, then wait for their controllers together, and tell what became of each."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aspora.cli.applying import Applied, Applier, Wanted
from aspora.meta.errors import StatusError, Timeout, Unavailable

Wire = Mapping[str, Any]
WAIT_SECONDS = 30.0
Outcome = Applied | StatusError
Done = Callable[[Wanted, Outcome], None]


@dataclass(frozen=True, slots=True)
class Lost:
    """The server went away before everything was applied.

    Attributes:
        error: How that was told.
        item: What was being written: whether it is, nobody knows; None when all was written.
        untried: What was not begun.
    """

    error: Unavailable
    item: Wanted | None = None
    untried: Sequence[Wanted] = ()


def apply_all(
    applier: Applier,
    items: Sequence[Wanted],
    *,
    wait: bool,
    on_written: Callable[[Wanted], None],
    on_done: Done,
    wait_seconds: float = WAIT_SECONDS,
) -> Lost | None:
    """Apply everything; what the server refuses does not stop the rest.

    Args:
        wait: Wait for the controller of each skill; all are written first, so that they are waited for together.
        on_written: Told after each write.
        on_done: Told of each what became of it, as that comes to be known.
        wait_seconds: How long to wait for all of them.

    Returns:
        What was not done because the server went away meanwhile; None when it did not.

    Raises:
        Unavailable: The server was not there for the first of them.
    """
    written: list[tuple[Wanted, Outcome]] = []
    for i, item in enumerate(items):
        try:
            written.append((item, applier.apply(item)))
        except Unavailable as e:
            if not written:
                raise
            for done, outcome in written:
                on_done(done, outcome)
            return Lost(e, item, items[i + 1 :])
        except StatusError as e:
            written.append((item, e))
        on_written(item)
    return _finish(applier, written, on_done=on_done, wait_seconds=wait_seconds if wait else 0.0)


def _finish(
    applier: Applier, written: Sequence[tuple[Wanted, Outcome]], *, on_done: Done, wait_seconds: float
) -> Lost | None:
    """Tell of each once its controller has seen it, or when the time is up for all."""
    deadline, pause_seconds, waiting = time.monotonic() + wait_seconds, 0.01, list(written)
    while waiting:
        is_last = time.monotonic() >= deadline
        later: list[tuple[Wanted, Outcome]] = []
        for i, (item, outcome) in enumerate(waiting):
            try:
                seen = _seen(applier, item, outcome, wait_seconds=wait_seconds, is_last=is_last)
                if seen is not None:
                    on_done(item, _held_back(applier, item, seen))
                else:
                    later.append((item, outcome))
            except Unavailable as e:
                for left, as_written in (*later, *waiting[i:]):
                    on_done(left, as_written)
                return Lost(e)
        waiting = later
        if waiting:
            applier.pause(pause_seconds)
            pause_seconds = min(pause_seconds * 1.5, 0.25)
    return None


def _seen(applier: Applier, item: Wanted, outcome: Outcome, *, wait_seconds: float, is_last: bool) -> Outcome | None:
    """With the status that the controller has written, for what came with an artifact; None when that must wait.

    Raises:
        Unavailable: The server is gone.
    """
    if item.artifact is None or not wait_seconds or not isinstance(outcome, Applied):
        return outcome
    generation = outcome.object["metadata"]["generation"]
    if _is_observed(outcome.object, generation=generation):
        return outcome
    try:
        now = applier.look(outcome.object)
    except Unavailable:
        raise
    except StatusError as e:
        return e
    if _is_observed(now, generation=generation):
        return replace(outcome, object=now)
    if is_last:
        return Timeout(
            f"no controller has looked at {item.name!r} within {wait_seconds:g} s; see: aspora status{applier.place}"
        )
    return None


def _held_back(applier: Applier, item: Wanted, outcome: Outcome) -> Outcome:
    """With a warning when nothing changed and production serves something else: what was applied now runs nowhere."""
    if item.artifact is None or isinstance(outcome, StatusError) or outcome.change != "unchanged":
        return outcome
    try:
        told = applier.held_back(outcome.object)
    except Unavailable:
        raise
    except StatusError as e:
        return e
    return replace(outcome, warnings=(*outcome.warnings, told)) if told else outcome


def _is_observed(obj: Wire, *, generation: int) -> bool:
    """Whether a controller has seen the object's generation."""
    return (obj.get("status") or {}).get("observedGeneration", 0) >= generation
