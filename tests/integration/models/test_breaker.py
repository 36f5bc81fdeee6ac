"""Circuits of upstreams over real HTTP: what is passed over, what it costs, and what the caller is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from tests.payers import OwnedClient, Payer

from aspora.kit.clock import SystemClock
from aspora.ledger.interface import Limit, Scope, ScopeKind, Window
from aspora.models.breaker import Breaker
from aspora.models.catalog import Catalog
from aspora.models.failures import BudgetExceeded, ModelRejected, ModelTimedOut, ModelUnavailable
from aspora.models.interface import Charge, ModelAttempt, ModelReply, ModelRequest
from aspora.telemetry.metrics import Metrics
from aspora.testing.model_server import ModelServer, parse_script

ASK = ModelRequest(models=("one", "two"), messages=({"role": "user", "content": "hi"},), max_output_tokens=50)
FIVE = 5


class TurnedClock(SystemClock):
    """The machine's, and what was turned."""

    turned = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.turned


def fault(kind: str, **more: Any) -> dict[str, Any]:
    return {"fault": {"kind": kind, **more}}


def provider(name: str, url: str, **spec: Any) -> dict[str, Any]:
    spec = {"baseUrl": url, "apiKeyRequired": False, "maxRetries": 0, **spec}
    return {"kind": "Provider", "metadata": {"name": name}, "spec": spec}


def model(name: str, of: str) -> dict[str, Any]:
    prices = {"inputMicroUsdPerMillionTokens": 10**6, "outputMicroUsdPerMillionTokens": 10**6}
    spec = {"provider": of, "upstreamId": f"{name}-id", "tier": "small", "contextTokens": 1000, "prices": prices}
    return {"kind": "Model", "metadata": {"name": name}, "spec": spec}


@dataclass
class Pair:
    """Two upstreams, a client of both, and all that it reports."""

    one: ModelServer
    two: ModelServer
    client: OwnedClient
    payer: Payer
    clock: TurnedClock
    metrics: Metrics
    attempts: list[ModelAttempt] = field(default_factory=list[ModelAttempt])
    texts: list[str] = field(default_factory=list[str])

    async def ask(self, *models: str, stream: bool = False, seconds: float | None = None) -> ModelReply:
        deadline = None if seconds is None else self.clock.monotonic() + seconds
        return await self.client.generate(
            replace(ASK, models=models or ASK.models, deadline=deadline),
            charge=self.payer.charge,
            observe=self.attempts.append,
            on_text=self.texts.append if stream else None,
        )

    async def ask_in_vain(self, *models: str, times: int = FIVE) -> None:
        for _ in range(times):
            with pytest.raises(ModelUnavailable):
                await self.ask(*models)

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        return [(a.alias, a.outcome) for a in self.attempts]


@asynccontextmanager
async def pair(one: Any, two: Any = (), *, cap_micro_usd: int | None = 10**6, **spec: Any) -> AsyncIterator[Pair]:
    """Each upstream's sequence; after it, it answers."""
    async with AsyncExitStack() as held:
        servers = [
            await held.enter_async_context(
                ModelServer(parse_script({"sequence": list(s), "rules": [{"answer": f"from {name}"}]}))
            )
            for name, s in (("one", one), ("two", two))
        ]
        catalog = Catalog(
            [model("one", "first"), model("two", "second")],
            [provider("first", servers[0].url, **spec), provider("second", servers[1].url)],
            environment={},
        )
        clock, payer, metrics = TurnedClock(), Payer(cap_micro_usd), Metrics()
        breaker = Breaker(clock=clock, rand=lambda: 0.5, metrics=metrics)
        client = OwnedClient(lambda: catalog, payer=payer, clock=clock, breaker=breaker)
        held.push_async_callback(client.close)
        yield Pair(servers[0], servers[1], client, payer, clock, metrics)


async def test_an_open_circuit_is_passed_over_and_costs_nothing() -> None:
    async with pair([fault("server_error")] * FIVE) as p:
        await p.ask_in_vain("one")
        reply = await p.ask()
        assert (reply.alias, len(p.one.completions), len(p.two.completions)) == ("two", FIVE, 1)
        assert p.payer.spent_micro_usd == reply.cost.micro_usd
        assert b'aspora_model_circuit_open{provider="first"} 1.0' in p.metrics.render()


async def test_the_only_one_left_fails_fast_and_says_when_to_try_again() -> None:
    async with pair([fault("server_error")] * FIVE) as p:
        await p.ask_in_vain("one")
        with pytest.raises(ModelUnavailable, match=r"first: not asked, .* \(one\), try again in 7 s") as caught:
            await p.ask("one")
        assert caught.value.retry_after_seconds == 7
        assert (len(p.one.completions), p.payer.spent_micro_usd, len(p.attempts)) == (FIVE, 0, FIVE)


async def test_after_its_time_one_call_is_the_probe_and_others_are_passed_over_meanwhile() -> None:
    async with pair([*[fault("server_error")] * FIVE, fault("hang_before_headers")]) as p:
        await p.ask_in_vain("one")
        p.clock.turned = 7.0
        probing = asyncio.create_task(p.ask("one"))
        await p.one.wait_for(FIVE + 1)
        assert (await p.ask()).alias == "two"
        probing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probing
        assert (await p.ask("one")).text == "from one", "a probe that came to nothing is made by the next call"
        assert (await p.ask()).alias == "one"
        assert b'aspora_model_circuit_open{provider="first"} 0.0' in p.metrics.render()


async def test_a_probe_that_can_t_be_paid_for_blocks_nobody() -> None:
    async with pair([fault("server_error")] * FIVE) as p:
        await p.ask_in_vain("one")
        p.clock.turned = 7.0
        poor = Charge(limits=(Limit(Scope(ScopeKind.EXECUTION, "poor"), Window.EXECUTION, 1),))
        rich, p.payer.charge = p.payer.charge, poor
        with pytest.raises(BudgetExceeded):
            await p.ask("one")
        p.payer.charge = rich
        assert (await p.ask("one")).text == "from one"


@pytest.mark.parametrize("kind", ["reset", "broken_json", "bad_gateway_html", "server_error"])
async def test_each_kind_of_fault_counts(kind: str) -> None:
    async with pair([fault(kind)] * FIVE) as p:
        await p.ask_in_vain("one")
        assert (await p.ask()).alias == "two"


async def test_a_400_never_counts() -> None:
    async with pair([fault("rejected")] * 25) as p:
        for _ in range(25):
            with pytest.raises(ModelRejected):
                await p.ask("one")
        assert (await p.ask()).alias == "one"


async def test_a_caller_s_own_haste_is_not_the_upstream_s_fault() -> None:
    async with pair([fault("hang_after_headers")] * FIVE) as p:
        for _ in range(FIVE):
            with pytest.raises(ModelTimedOut):
                await p.ask("one", seconds=0.05)
        assert (await p.ask()).alias == "one"


async def test_a_429_closes_the_model_for_as_long_as_it_asks_and_counts_for_nothing_else() -> None:
    async with pair([*[fault("rate_limited")] * 9, fault("rate_limited", retry_after_seconds=3600)]) as p:
        await p.ask_in_vain("one", times=10)
        assert (await p.ask()).alias == "two"
        p.clock.turned = 30.5
        assert (await p.ask()).alias == "one"
