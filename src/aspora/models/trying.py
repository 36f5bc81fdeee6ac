"""What was tried in vain, told so that a person sees at a glance what is wrong and what to do."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from aspora.models.breaker import CIRCUIT_OPEN
from aspora.models.catalog import Endpoint
from aspora.models.upstream import UpstreamFault


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt that brought no answer."""

    endpoint: Endpoint
    fault: UpstreamFault

    @property
    def clause(self) -> str:
        """What went wrong, where."""
        return f"{self.endpoint.provider_name}: {self.fault.message}"


def tell(tried: Sequence[Tried]) -> str:
    """One clause for all attempts that failed alike, with whom it concerned, how often, and the next step."""
    alike: dict[str, list[Tried]] = {}
    for one in tried:
        alike.setdefault(one.clause, []).append(one)
    return "; ".join(_tell_alike(clause, group) for clause, group in alike.items())


def _tell_alike(clause: str, group: Sequence[Tried]) -> str:
    aliases = [one.endpoint.alias for one in group]
    if group[0].fault.outcome == CIRCUIT_OPEN:
        wait = max(one.fault.retry_after_seconds or 0.0 for one in group)
        return f"{clause} ({', '.join(dict.fromkeys(aliases))}), try again in {math.ceil(wait)} s"
    tries = {alias: aliases.count(alias) for alias in aliases}
    advice = _advice(group[0])
    return f"{clause} ({_times(tries)})" + (f", {advice}" if advice else "")


def _times(tries: dict[str, int]) -> str:
    counts = set(tries.values())
    if len(counts) > 1:
        return ", ".join(f"{alias} {count}x" for alias, count in tries.items())
    (count,) = counts
    each = " each" if len(tries) > 1 else ""
    return f"{', '.join(tries)}: {count} {'try' if count == 1 else 'tries'}{each}"


def _advice(one: Tried) -> str:
    """What a person can do about it; empty when only waiting helps."""
    provider, name = one.endpoint.provider, one.endpoint.provider_name
    key = provider.api_key_from_env or f"the headers of Provider {name!r}"
    by_outcome = {
        "unreachable": f"check {provider.base_url_from_env or f'spec.baseUrl of Provider {name!r}'}",
        "unauthorized": f"check {key}",
        "forbidden": f"check {key}",
        "payment_required": "top up the account there",
        "not_found": f"set {provider.model_name_from_env or 'spec.upstreamId of the Model'} to a model it knows",
        "rate_limited": "try again later, or raise the limit there",
    }
    return by_outcome.get(one.fault.outcome, "try again later")
