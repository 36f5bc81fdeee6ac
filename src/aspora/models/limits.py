"""Who is charged for model calls, and all limits that these fall under, from the objects that name them. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from aspora.apis.api_key import ApiKeySpec
from aspora.apis.domain import DomainSpec
from aspora.apis.skill_sections import CostBudget
from aspora.ledger.interface import Attribution, Limit, Scope, ScopeKind, Unit, Window
from aspora.models.catalog import Demands
from aspora.models.interface import Charge


@dataclass(frozen=True, slots=True, kw_only=True)
class Payer:
    """For whom a call is made; "" where it does not apply.

    Attributes:
        domain: Name of the domain.
        skill: Its name in the domain.
        revision: The one that runs: its share of a rollout is its arm.
        environment: In which that share is.
        execution: Its id.
        user: Who asked.
        trigger: What started it: `message`, `cron` …
        key: The virtual key, `name@domain` or `name`.
    """

    domain: str = ""
    skill: str = ""
    revision: str = ""
    environment: str = ""
    execution: str = ""
    user: str = ""
    trigger: str = ""
    key: str = ""

    def scope(self, kind: ScopeKind) -> Scope | None:
        """Its budget of that kind; None when it has none."""
        domain = self.domain
        match kind:
            case ScopeKind.EXECUTION:
                named = (self.execution,)
            case ScopeKind.SKILL:
                named = (domain, self.skill)
            case ScopeKind.KEY:
                named = (self.key,)
            case ScopeKind.USER:
                named = (domain, self.user)
            case ScopeKind.TRIGGER:
                named = (domain, self.skill, self.trigger)
            case ScopeKind.ARM:
                named = (domain, self.skill, self.environment, self.revision)
            case ScopeKind.DOMAIN:
                named = (domain,)
            case ScopeKind.PLATFORM:
                return Scope(kind, "")
        return Scope(kind, "/".join(named)) if all(named) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformLimits:
    """What all domains together may use.

    Attributes:
        monthly_micro_usd: None: no cap.
        requests_per_month: Of model calls.
    """

    monthly_micro_usd: int | None = None
    requests_per_month: int = 1_000_000


def charge_of(
    payer: Payer,
    *,
    platform: PlatformLimits,
    domain: DomainSpec | None = None,
    budget: CostBudget | None = None,
    key: ApiKeySpec | None = None,
    role: str = "",
) -> Charge:
    """Everything that a call by this payer falls under; money first, then rates.

    Args:
        payer: For whom.
        platform: Limits of all together.
        domain: The domain's spec; None where it has none.
        budget: The skill's own caps; None where no skill is concerned.
        key: The virtual key's spec; None where none is.
        role: The skill's, by which a domain may allow models; "" where no skill is concerned.
    """
    wanted = (
        *_of_skill(budget),
        *_of_domain(domain),
        *_of_key(key),
        (ScopeKind.PLATFORM, Window.MONTH, platform.monthly_micro_usd, Unit.MICRO_USD),
        (ScopeKind.PLATFORM, Window.MONTH, platform.requests_per_month, Unit.REQUESTS),
    )
    return Charge(
        limits=tuple(_tightest(_limits(payer, wanted))),
        demands=None if domain is None else demands_of(domain, role=role),
        attribution=Attribution(
            domain=payer.domain,
            skill=payer.skill,
            revision=payer.revision,
            execution=payer.execution,
            user=payer.user,
            trigger=payer.trigger,
            cost_center=(domain.cost_center or "") if domain is not None else "",
        ),
    )


def demands_of(domain: DomainSpec, *, role: str) -> Demands:
    """What a domain demands of models and providers."""
    return Demands(models=frozenset(getattr(domain.models, role, ())), policy=domain.model_policy)


_Wanted = tuple[ScopeKind, Window, int | None, Unit]


def _limits(payer: Payer, wanted: Iterable[_Wanted]) -> Iterator[Limit]:
    for kind, window, cap, unit in wanted:
        scope = payer.scope(kind)
        if scope is not None:
            yield Limit(scope, window, cap, unit)


def _tightest(limits: Iterable[Limit]) -> list[Limit]:
    """One limit an account: where two are named, the lower cap."""
    found: dict[tuple[Scope, Window, Unit], Limit] = {}
    for limit in limits:
        place = (limit.scope, limit.window, limit.unit)
        known = found.get(place)
        if known is None or known.cap is None or (limit.cap is not None and limit.cap < known.cap):
            found[place] = limit
    return list(found.values())


def _of_skill(budget: CostBudget | None) -> Iterator[_Wanted]:
    if budget is not None:
        yield ScopeKind.EXECUTION, Window.EXECUTION, budget.max_per_execution_micro_usd, Unit.MICRO_USD
        yield ScopeKind.SKILL, Window.MONTH, budget.monthly_limit_micro_usd, Unit.MICRO_USD


def _of_domain(domain: DomainSpec | None) -> Iterator[_Wanted]:
    if domain is None:
        return
    yield ScopeKind.DOMAIN, Window.MONTH, domain.monthly_budget_micro_usd, Unit.MICRO_USD
    for budget in domain.budgets:
        yield ScopeKind(budget.scope), Window(budget.window), budget.cap_micro_usd, Unit.MICRO_USD
    yield ScopeKind.SKILL, Window.HOUR, domain.rate_limits.skill_model_calls_per_hour, Unit.REQUESTS
    yield ScopeKind.DOMAIN, Window.DAY, domain.rate_limits.model_calls_per_day, Unit.REQUESTS


def _of_key(key: ApiKeySpec | None) -> Iterator[_Wanted]:
    if key is None:
        return
    for budget in key.budgets:
        yield ScopeKind.KEY, Window(budget.window), budget.cap_micro_usd, Unit.MICRO_USD
    if key.requests_per_minute is not None:
        yield ScopeKind.KEY, Window.MINUTE, key.requests_per_minute, Unit.REQUESTS
    if key.tokens_per_minute is not None:
        yield ScopeKind.KEY, Window.MINUTE, key.tokens_per_minute, Unit.TOKENS
