"""Why a call is not paid for, in words: what was spent, the cap, and when it resets."""

from dataclasses import dataclass
from datetime import datetime

from aspora.ledger.interface import AccountKey, Unit
from aspora.ledger.windows import window_end
from aspora.meta.errors import BudgetExceeded, StatusError, TooManyRequests
from aspora.meta.objects import rfc3339
from aspora.meta.quantities import format_usd

_SOON_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An account that can't give what a call needs.

    Attributes:
        used: Of the cap, by calls that are over or in doubt.
        leased: Held for other calls.
        cap: None: there is none, and it is paused.
    """

    key: AccountKey
    need: int
    cap: int | None
    used: int
    leased: int
    paused: str | None

    @property
    def is_final(self) -> bool:
        """No other process can give back what is missing."""
        return self.paused is not None or self.cap is None or self.used + self.need > self.cap

    def error(self, now: datetime) -> StatusError:
        """What the caller is told."""
        return self._over_budget(now) if self.key.unit is Unit.MICRO_USD else self._over_rate(now)

    def _over_budget(self, now: datetime) -> BudgetExceeded:
        spent, need = format_usd(self.used), format_usd(self.need)
        cap = "the cap of no limit" if self.cap is None else f"the cap of {format_usd(self.cap)}"
        scope = _scope_of(self.key)
        window = f"this {self.key.window}"
        end, wait_seconds = self._end(now)
        if self.paused == "Overrun":
            return BudgetExceeded(
                f"{scope} is paused: a call cost more than the most it could; spent {spent} of {cap} for"
                f" {window}, which resets {end}; find out why, then reset its budget",
                retry_after_seconds=wait_seconds,
            )
        if self.is_final:
            return BudgetExceeded(
                f"{scope} has spent {spent} of {cap} for {window}, and the call could cost up to {need};"
                f" the cap resets {end}; wait until then, or raise it",
                retry_after_seconds=wait_seconds,
            )
        return BudgetExceeded(
            f"{scope} has spent {spent} of {cap} for {window}, and calls under way may spend"
            f" {format_usd(self.leased)}: the {need} that this one could cost are not free; the cap resets {end};"
            f" try again when those are over, or raise the cap",
            retry_after_seconds=_SOON_SECONDS,
        )

    def _over_rate(self, now: datetime) -> TooManyRequests:
        end, wait_seconds = self._end(now)
        return TooManyRequests(
            f"{self.key.scope.kind} {self.key.scope.name!r} has used {self.used} of {self.cap} {self.key.unit} for this"
            f" {self.key.window} and needs {self.need} more; the limit resets {end}; send it again then",
            retry_after_seconds=wait_seconds if self.is_final else _SOON_SECONDS,
        )

    def _end(self, now: datetime) -> tuple[str, float | None]:
        end = window_end(self.key.window, self.key.start)
        if end is None:
            return "with the next execution", None
        return f"at {rfc3339(end)}", max((end - now).total_seconds(), 0.0)


def too_slow(key: AccountKey, wait_seconds: float) -> TooManyRequests:
    """What a caller is told whose turn near the cap does not come in time."""
    return TooManyRequests(
        f"{_scope_of(key)} has spent 95 % of its cap for this {key.window} or more, so that one call a second goes"
        f" through: send it again in a while, or raise the cap",
        retry_after_seconds=wait_seconds,
    )


def _scope_of(key: AccountKey) -> str:
    return f"{key.scope.kind} {key.scope.name!r}" if key.scope.name else str(key.scope.kind)


def first_of(refusals: list[Refusal]) -> Refusal:
    """The one to tell: one that waiting does not help comes first, then the narrowest."""
    return min(refusals, key=lambda r: (not r.is_final, r.key.scope.kind.rank))
