"""What is left under the caps that a call falls under, for rules that ask: a look at the books, a few seconds old."""

from collections.abc import Sequence
from typing import Final

from aspora.kit.clock import Clock
from aspora.ledger.interface import AccountKey, Accounts, Limit, Unit
from aspora.ledger.windows import key_of
from aspora.meta.errors import NotFound, Timeout, Unavailable
from aspora.models.choosing import BudgetLeft

MAX_AGE_SECONDS: Final = 5.0
_MOST_KEPT: Final = 4096


class BudgetView:
    """Looks at accounts and remembers them for a moment: it advises, the ledger decides."""

    def __init__(self, accounts: Accounts, clock: Clock) -> None:
        self._accounts = accounts
        self._clock = clock
        self._used: dict[AccountKey, tuple[float, int]] = {}

    async def left(self, limits: Sequence[Limit]) -> BudgetLeft:
        """Under the tightest cap on money; all where the books can't be seen now."""
        found = BudgetLeft()
        for limit in limits:
            if limit.cap is None or limit.unit is not Unit.MICRO_USD:
                continue
            left = max(0, limit.cap - await self._used_of(key_of(limit, self._clock.now())))
            ratio = left / limit.cap if limit.cap else 0.0
            found = BudgetLeft(min(found.micro_usd, left), min(found.ratio, ratio))
        return found

    async def _used_of(self, key: AccountKey) -> int:
        now = self._clock.monotonic()
        asked_at, used = self._used.get(key, (now - MAX_AGE_SECONDS - 1, 0))
        if now - asked_at > MAX_AGE_SECONDS:
            try:
                account = await self._accounts.get(key)
                used = account.spent + account.leased
            except NotFound:
                used = 0
            except (Unavailable, Timeout):
                return used
            if len(self._used) >= _MOST_KEPT:
                self._used.clear()
            self._used[key] = (now, used)
        return used
