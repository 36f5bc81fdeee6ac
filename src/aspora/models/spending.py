"""The money of one attempt: set aside before it goes out, booked when it is over, whatever came of it, once."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aspora.kit.clock import Clock
from aspora.ledger import costs
from aspora.ledger.interface import CostSource as BookedBy
from aspora.ledger.interface import Hold, Ledger, Reservation, Settlement
from aspora.meta.errors import BudgetExceeded, StatusError, TooManyRequests
from aspora.models import failures
from aspora.models.interface import Charge, CostSource, ModelAttempt, ModelCost, TokenUsage
from aspora.models.pricing import price_usage, upstream_micro_usd
from aspora.models.question import Attempt
from aspora.models.reconciling import Cut, Reconciler
from aspora.models.wire import read_usage

IN_FLIGHT_TOKENS = 512
"""What an upstream may have made, beyond what came, when a stream is cut short."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What an answer cost, and its tokens if they were told."""

    usage: TokenUsage | None
    cost: ModelCost


class Spending:
    """One attempt that was paid for; `ask` makes it, and one of the other methods ends it. A second end does nothing.

    Attributes:
        hold: What the ledger has set aside.
        attempt: What is sent.
    """

    def __init__(
        self,
        ledger: Ledger,
        hold: Hold,
        attempt: Attempt,
        *,
        clock: Clock,
        observe: Callable[[ModelAttempt], None],
        reconciler: Reconciler | None = None,
    ) -> None:
        self._reconciler = reconciler
        self.hold = hold
        self.attempt = attempt
        self._ledger = ledger
        self._clock = clock
        self._observe = observe
        self._began = clock.monotonic()
        self._is_over = False

    def may_send(self) -> bool:
        """Asked right before sending."""
        return self._ledger.may_send(self.hold)

    def answered(self, raw_usage: Mapping[str, Any] | None, *, model: str) -> Answered:
        """It was answered."""
        usage = read_usage(raw_usage)
        notes = (() if usage is not None else ("UsageMissing",)) + self._notes_on(model)
        cost = self._settle(
            "ok",
            raw_cost=(raw_usage or {}).get("cost"),
            usage=usage,
            counted=self.attempt.bound,
            model=model,
            notes=notes,
        )
        return Answered(usage, cost)

    def _notes_on(self, model: str) -> tuple[str, ...]:
        """Whether another model than the one that was asked for says that it answered; dated names are the same one."""
        asked, told = (_bare(name) for name in (self.attempt.endpoint.upstream_id, model))
        return ("ModelDiffers",) if told and asked not in told and told not in asked else ()

    def cut(self, outcome: str, message: str, *, output_bytes: int, generation: str = "") -> None:
        """It was cut short after part of the answer had come.

        An upper bound of what was made till then is charged; where the upstream can tell later what it cost, the whole
        hold is until it has told.

        Args:
            outcome: What cut it, in snake_case.
            message: The same for people.
            output_bytes: What came of the answer.
            generation: The upstream's id of it; "": not known.
        """
        made = min(self.attempt.bound.output_tokens, output_bytes + IN_FLIGHT_TOKENS)
        counted = TokenUsage(input_tokens=self.attempt.bound.input_tokens, output_tokens=made)
        if self._reconciler is None or not generation or self.attempt.endpoint.provider.generation_path is None:
            self._settle(outcome, message=message, counted=counted, notes=("Cut",))
            return
        bound = self._settlement(outcome, counted=counted, notes=("Cut",))
        if self._end():
            endpoint = self.attempt.endpoint
            self._reconciler.later(Cut(hold=self.hold, endpoint=endpoint, generation=generation, bound=bound))
            hold = self.attempt.hold_micro_usd
            self._tell(outcome, message, None, ModelCost(micro_usd=hold, source=CostSource.IN_DOUBT, flags=("Cut",)))

    def refused(self, outcome: str, message: str) -> None:
        """The upstream charges nothing for it."""
        self._settle(outcome, message=message, raw_cost=0, usage=TokenUsage(), source=CostSource.NOTHING)

    def in_doubt(self, outcome: str, message: str) -> None:
        """It may be charged, and nobody knows."""
        if self._end():
            self._ledger.doubt(self.hold)
            hold = self.attempt.hold_micro_usd
            flags = () if hold is not None else ("Unpriced",)
            self._tell(outcome, message, None, ModelCost(micro_usd=hold, source=CostSource.IN_DOUBT, flags=flags))

    def never_sent(self) -> None:
        """It surely did not go out."""
        if self._end():
            self._ledger.release(self.hold)

    def _settlement(
        self,
        outcome: str,
        *,
        counted: TokenUsage | None,
        raw_cost: Any = None,
        usage: TokenUsage | None = None,
        model: str = "",
        notes: tuple[str, ...] = (),
    ) -> Settlement:
        prices = self.attempt.endpoint.model.prices
        tokens = usage or counted
        priced = None if prices is None or tokens is None else price_usage(prices, tokens)
        return Settlement(
            outcome=outcome,
            upstream_micro_usd=upstream_micro_usd(raw_cost),
            priced_micro_usd=priced,
            input_tokens=None if usage is None else usage.input_tokens,
            output_tokens=None if usage is None else usage.output_tokens,
            model=model[:200] or None,
            findings=notes if prices is not None else (*notes, "Unpriced"),
        )

    def _settle(
        self,
        outcome: str,
        *,
        message: str = "",
        counted: TokenUsage | None = None,
        usage: TokenUsage | None = None,
        source: CostSource | None = None,
        **told: Any,
    ) -> ModelCost:
        settlement = self._settlement(outcome, counted=counted, usage=usage, **told)
        has_price = self.attempt.endpoint.model.prices is not None
        hold = self.hold.reservation
        booking = costs.book(settlement, hold_micro_usd=hold.hold_micro_usd, is_bounded=hold.is_bounded)
        source = source or _source(booking, is_counted=usage is None, has_price=has_price)
        cost = ModelCost(
            micro_usd=None if source is CostSource.UNKNOWN else booking.cost_micro_usd,
            source=source,
            upstream_micro_usd=booking.upstream_micro_usd,
            priced_micro_usd=booking.priced_micro_usd,
            flags=booking.findings,
        )
        if self._end():
            self._ledger.settle(self.hold, settlement)
            self._tell(outcome, message, usage, cost)
        return cost

    def _end(self) -> bool:
        was_over, self._is_over = self._is_over, True
        return not was_over

    def _tell(self, outcome: str, message: str, usage: TokenUsage | None, cost: ModelCost) -> None:
        endpoint = self.attempt.endpoint
        self._observe(
            ModelAttempt(
                alias=endpoint.alias,
                provider=endpoint.provider_name,
                upstream=endpoint.upstream_id,
                attempt=self.attempt.number,
                outcome=outcome,
                message=message,
                duration_ms=round((self._clock.monotonic() - self._began) * 1000),
                usage=usage,
                cost=cost,
            )
        )


async def pay(
    ledger: Ledger,
    attempt: Attempt,
    charge: Charge,
    *,
    clock: Clock,
    observe: Callable[[ModelAttempt], None],
    reconciler: Reconciler | None = None,
) -> Spending:
    """Set the most that an attempt can cost aside, durably: only then may it go out.

    Raises:
        BudgetExceeded: A cap leaves too little, or is paused.
        RateLimited: A limit of requests or tokens does.
        LedgerUnavailable: The ledger can't say so.
    """
    endpoint = attempt.endpoint
    reservation = Reservation(
        limits=charge.limits,
        hold_micro_usd=attempt.hold_micro_usd or 0,
        hold_tokens=attempt.bound.input_tokens + attempt.bound.output_tokens,
        model=endpoint.alias,
        provider=endpoint.provider_name,
        attribution=charge.attribution,
        is_bounded=attempt.hold_micro_usd is not None,
        route={**charge.route, "attempt": attempt.number} if charge.route else {},
    )
    try:
        hold = await ledger.reserve(reservation)
    except StatusError as error:
        raise _refusal(error, alias=endpoint.alias) from error
    spending = Spending(ledger, hold, attempt, clock=clock, observe=observe, reconciler=reconciler)
    try:
        await ledger.intend(hold)
    except StatusError as error:
        spending.never_sent()
        raise _refusal(error, alias=endpoint.alias) from error
    except BaseException:
        spending.never_sent()
        raise
    return spending


def _refusal(error: StatusError, *, alias: str) -> failures.ModelFailed:
    """The ledger's no, as callers of models know it."""
    told = f"the call to {alias!r} was not sent: {error.message}"
    match error:
        case BudgetExceeded():
            return failures.BudgetExceeded(told, retry_after_seconds=error.retry_after_seconds)
        case TooManyRequests():
            return failures.RateLimited(told, retry_after_seconds=error.retry_after_seconds)
        case _:
            return failures.LedgerUnavailable(told, retry_after_seconds=error.retry_after_seconds)


def _bare(model: str) -> str:
    """A model's name without its maker and without what upstreams write differently."""
    return re.sub(r"[^a-z0-9]", "", model.rpartition("/")[2].lower())


def _source(booking: costs.Booking, *, is_counted: bool, has_price: bool) -> CostSource:
    """Where the booked cost comes from, as the trace has it."""
    match booking.source:
        case BookedBy.UPSTREAM:
            return CostSource.UPSTREAM
        case BookedBy.PRICES:
            return CostSource.BOUND if is_counted else CostSource.PRICES
        case BookedBy.HOLD:
            return CostSource.HOLD if has_price else CostSource.UNKNOWN
