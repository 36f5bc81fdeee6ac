"""The money of a process that calls models: its part of the ledger, and who pays for what."""

import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from aspora.apis.domain import DomainSpec
from aspora.db.pool import Database
from aspora.executor.work import Work
from aspora.kit.clock import Clock
from aspora.kit.supervise import Loop, running_loops
from aspora.ledger.escrow import Escrow
from aspora.ledger.leases import Terms
from aspora.main.settings import Settings
from aspora.models.interface import Charge
from aspora.models.limits import Payer, PlatformLimits, charge_of
from aspora.reconcile.informer import Informer

EXECUTOR_TERMS = Terms(patience_seconds=15.0)
"""An execution that another executor had before waits until that one's lease is over."""


def new_call_id() -> str:
    """An id that no call had before."""
    return f"call-{secrets.token_hex(12)}"


@asynccontextmanager
async def open_escrow(
    database: Database,
    *,
    name: str,
    clock: Clock,
    terms: Terms | None = None,
    on_fired: Callable[[], None] = lambda: None,
) -> AsyncGenerator[Escrow]:
    """A ledger with a lease for as long as the block runs; at its end all is settled and given back.

    Args:
        on_fired: Called when thresholds of budgets were passed and wait to be told.

    Raises:
        Unavailable: The database can't be reached.
    """
    escrow = await Escrow.open(database, name=name, clock=clock, new_id=new_call_id, terms=terms, on_fired=on_fired)
    loops: dict[str, Loop] = {"ledger": escrow.run}
    async with running_loops(loops, grace_seconds=1):
        try:
            yield escrow
        finally:
            await escrow.close()


def platform_limits(settings: Settings) -> PlatformLimits:
    """What the operator allows all domains together."""
    return PlatformLimits(
        monthly_micro_usd=settings.platform_monthly_usd,
        requests_per_month=settings.platform_model_calls_per_month,
    )


def payer_of(work: Work) -> Payer:
    """For whom an execution calls models."""
    claim = work.claim
    return Payer(
        domain=claim.domain,
        skill=claim.skill,
        revision=claim.revision,
        environment=claim.environment,
        execution=claim.id,
        user=claim.caller,
        trigger=str(claim.trigger.get("type", "")),
    )


def execution_charges(settings: Settings, domains: Informer) -> Callable[[Work], Charge]:
    """Who pays for an execution's model calls, by the objects as they are now."""
    platform = platform_limits(settings)

    def charge(work: Work) -> Charge:
        domain = domains.get(work.claim.domain)
        return charge_of(
            payer_of(work),
            platform=platform,
            domain=None if domain is None else DomainSpec.model_validate(domain["spec"]),
            budget=work.plan.spec.model.cost_budget,
        )

    return charge
