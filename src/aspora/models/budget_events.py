"""Tells people that a budget is nearly spent: an object event and a metric for each threshold, once.

The events are written in the transaction that marks the threshold as told, so none is lost and none doubled, however
many processes run this loop. The metric counts what this process told.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from aspora.access.interface import ObjectReader
from aspora.db.pool import Connection
from aspora.kit.supervise import wait_for_event
from aspora.ledger.interface import AccountKey, Scope, ScopeKind, Threshold, Thresholds
from aspora.ledger.windows import domain_of, window_end
from aspora.meta.errors import StatusError
from aspora.meta.objects import rfc3339
from aspora.meta.quantities import format_usd
from aspora.records.happenings import Happening, record
from aspora.telemetry.logs import get_logger
from aspora.telemetry.metrics import Metrics
from aspora.telemetry.names import BUDGET_THRESHOLDS

POLL_SECONDS: Final = 10.0
"""For what other processes passed: those of executors, and those of processes that died before they told."""

_CONTROLLER: Final = "budgets"
_BATCH: Final = 100
_REASONS: Final = {80: "BudgetWarning", 95: "BudgetThrottled", 100: "BudgetPaused"}
_EFFECTS: Final = {
    80: "at 95 % its calls are let through slowly, at 100 % none is",
    95: "its calls are let through slowly, at 100 % none is",
    100: "its calls are refused",
}
_KINDS: Final = {ScopeKind.DOMAIN: "Domain", ScopeKind.SKILL: "Skill", ScopeKind.KEY: "ApiKey"}
_log = get_logger(__name__)


class BudgetEvents:
    """Tells thresholds; `run` must be running.

    Args:
        reader: Knows the domains, for their owner teams.
        fired: Set when there is something to tell now.
        on_told: Called after events were kept.
    """

    def __init__(
        self,
        thresholds: Thresholds,
        reader: ObjectReader,
        fired: asyncio.Event,
        *,
        metrics: Metrics,
        on_told: Callable[[], None],
    ) -> None:
        self._thresholds = thresholds
        self._reader = reader
        self._told = metrics.counter(BUDGET_THRESHOLDS)
        self._on_told = on_told
        self._fired = fired

    async def run(self, stop: asyncio.Event) -> None:
        """Tell what there is, when it is told to and each `POLL_SECONDS`, until told to stop."""
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _: self._fired.set())
        try:
            while not stop.is_set():
                self._fired.clear()
                try:
                    await self.tell()
                except StatusError as error:
                    _log.warning("budget events wait for the database", reason=error.reason)
                if not stop.is_set():
                    await wait_for_event(self._fired, POLL_SECONDS)
        finally:
            stopping.cancel()

    async def tell(self) -> None:
        """Tell all that was passed so far."""
        while True:
            told = await self._thresholds.tell_next(self._keep, limit=_BATCH)
            for passed in told:
                self._told.labels(passed.key.scope.kind, str(passed.percent)).inc()
            if told:
                self._on_told()
            if len(told) < _BATCH:
                return

    async def _keep(self, connection: Connection, passed: Sequence[Threshold]) -> None:
        for threshold in passed:
            # An execution that has spent its cap says so itself; there may be thousands of them.
            if threshold.key.scope.kind is not ScopeKind.EXECUTION:
                await record(connection, await self._happening(threshold))

    async def _happening(self, passed: Threshold) -> Happening:
        domain = domain_of(passed.key.scope)
        owner = await self._owner_team(domain) if domain else ""
        kind, name = _regarding(passed.key)
        return Happening(
            domain=domain,
            kind=kind,
            name=name,
            type="Warning",
            reason=_REASONS[passed.percent],
            message=_message(passed, owner),
            controller=_CONTROLLER,
        )

    async def _owner_team(self, domain: str) -> str:
        found = await self._reader.get("Domain", domain)
        return "" if found is None else str(found["spec"].get("ownerTeam") or "")


def _regarding(key: AccountKey) -> tuple[str, str]:
    """Kind and name of what it happened to; what is no object is named by its budget."""
    kind = _KINDS.get(key.scope.kind)
    if kind is None:
        return "Budget", "/".join(part for part in (key.scope.kind, key.scope.name, key.window) if part)
    return kind, key.scope.name.partition("@")[0] if kind == "ApiKey" else key.scope.name.rpartition("/")[2]


def _message(passed: Threshold, owner: str) -> str:
    end = window_end(passed.key.window, passed.key.start)
    return (
        f"{_scope_text(passed.key.scope)} has spent {format_usd(passed.spent)} of {format_usd(passed.cap)} for this"
        f" {passed.key.window} ({passed.percent} % passed): {_EFFECTS[passed.percent]};"
        f" it resets {f'at {rfc3339(end)}' if end else 'with the next execution'};"
        f" owner team: {owner or 'not stated'}"
    )


def _scope_text(scope: Scope) -> str:
    return f"{scope.kind} {scope.name!r}" if scope.name else str(scope.kind)
