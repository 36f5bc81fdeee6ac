"""Who pays for model calls in tests: a real ledger in memory, with one cap."""

from collections.abc import Callable
from itertools import count
from typing import Any

from aspora.kit.clock import Clock, SystemClock
from aspora.ledger.interface import Limit, Scope, ScopeKind, Window
from aspora.ledger.local import LocalLedger
from aspora.models.attempts import Attempts
from aspora.models.catalog import Catalog
from aspora.models.client import HttpModelClient
from aspora.models.interface import Charge

SCOPE = Scope(ScopeKind.EXECUTION, "EXEC-test")


class Payer:
    """One execution's budget."""

    def __init__(self, cap_micro_usd: int | None = None, *, clock: Clock | None = None) -> None:
        ids = count(1)
        self.ledger = LocalLedger(clock=clock or SystemClock(), new_id=lambda: f"call-{next(ids)}")
        self.charge = Charge(limits=(Limit(SCOPE, Window.EXECUTION, cap_micro_usd),))

    @property
    def spent_micro_usd(self) -> int:
        return self.ledger.spent_micro_usd(SCOPE)


class OwnedClient(HttpModelClient):
    """A client with attempts of its own, which it closes."""

    def __init__(
        self, catalog: Callable[[], Catalog], *, payer: Payer | None = None, clock: Clock, **options: Any
    ) -> None:
        self._own = Attempts(catalog, ledger=(payer or Payer()).ledger, clock=clock, **options)
        super().__init__(self._own)

    async def close(self) -> None:
        await self._own.close()
