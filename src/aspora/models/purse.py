"""The purse of one execution: `max_per_execution`, checked before each call goes out."""

from aspora.meta.quantities import format_usd
from aspora.models.failures import BudgetExceeded


class ExecutionPurse:
    """Counts what one execution spent against its cap; of one event loop, not of several threads.

    Args:
        cap_micro_usd: The most the execution may spend; None: no cap.
        spent_micro_usd: What earlier attempts of the same execution have spent already.
    """

    def __init__(self, cap_micro_usd: int | None, *, spent_micro_usd: int = 0) -> None:
        self._cap = cap_micro_usd
        self._held = 0
        self._spent = spent_micro_usd

    @property
    def capped(self) -> bool:
        """Whether there is a cap."""
        return self._cap is not None

    @property
    def spent_micro_usd(self) -> int:
        """Booked so far, calls in doubt at their full hold."""
        return self._spent

    async def reserve(self, hold_micro_usd: int, *, alias: str) -> None:
        """Set a hold aside.

        Raises:
            BudgetExceeded: It does not fit.
        """
        if self._cap is not None and self._spent + self._held + hold_micro_usd > self._cap:
            raise BudgetExceeded(
                f"spent {format_usd(self._spent)} of the cap of {format_usd(self._cap)} for one execution; "
                f"the next call to {alias!r} could cost up to {format_usd(hold_micro_usd)} and was not sent; raise "
                f"model.cost_budget.max_per_execution, or lower model.max_tokens"
            )
        self._held += hold_micro_usd

    def settle(self, hold_micro_usd: int, *, cost_micro_usd: int) -> None:
        """Replace a hold by what was really spent."""
        self._held -= hold_micro_usd
        self._spent += cost_micro_usd

    def catch_up(self, spent_micro_usd: int) -> None:
        """Take over the total that a journal recorded when a call is answered from it instead of being made."""
        self._spent = max(self._spent, spent_micro_usd)
