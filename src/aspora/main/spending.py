"""The money of a process that calls models: its part of the ledger, and who pays for what."""

import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from aspora.apis.domain import DomainSpec
from aspora.apis.model_routing import DEFAULT_NAME as ROUTING
from aspora.apis.model_routing import ModelRoutingSpec, TaskType
from aspora.db.pool import Database
from aspora.executor.work import ModelTerms, Work
from aspora.kit.clock import Clock
from aspora.kit.supervise import Loop, running_loops
from aspora.ledger.escrow import Escrow
from aspora.ledger.leases import Terms
from aspora.main.settings import Settings
from aspora.models.choosing import Choice, Task, choose, complexity_of, routing_of
from aspora.models.limits import Payer, PlatformLimits, charge_of
from aspora.reconcile.informer import Informer

EXECUTOR_TERMS = Terms(patience_seconds=15.0)
"""An execution that another executor had before waits until that one's lease is over."""


_BYTES_PER_TOKEN: Final = 4


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


def task_of(work: Work) -> Task:
    """What an execution asks of a model; tokens are estimated at one for each four bytes."""
    told = len(str(work.input).encode())
    tokens = ((work.folder / "SKILL.md").stat().st_size + told) // _BYTES_PER_TOKEN
    return Task(
        type=TaskType.SKILL_EXECUTION,
        input_tokens=tokens,
        complexity=complexity_of(input_tokens=tokens, tools=max(1, len(work.plan.tools))),
        domain=work.claim.domain,
        skill=work.claim.skill,
    )


def skill_choice(work: Work, routing: ModelRoutingSpec) -> Choice:
    """Which models an execution asks: those that the skill names, else what the platform chooses."""
    model = work.plan.spec.model
    named = (model.primary, model.fallback) if model.primary else ()
    return choose(named, task_of(work), routing=routing, fallback=model.fallback)


def execution_terms(settings: Settings, domains: Informer, routings: Informer) -> Callable[[Work], ModelTerms]:
    """How an execution calls models, by the objects as they are now."""
    platform = platform_limits(settings)

    def terms(work: Work) -> ModelTerms:
        choice = skill_choice(work, routing_of(routings.get(ROUTING)))
        domain = domains.get(work.claim.domain)
        charge = charge_of(
            payer_of(work),
            platform=platform,
            domain=None if domain is None else DomainSpec.model_validate(domain["spec"]),
            budget=work.plan.spec.model.cost_budget,
            role=work.plan.spec.role,
        )
        return ModelTerms(choice.models, replace(charge, route=choice.route))

    return terms
