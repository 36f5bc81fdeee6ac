"""The model client against the scripted server over real HTTP: every fault, and what it does to the money."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from tests.payers import OwnedClient, Payer
from tests.servers import free_port

from aspora.kit.backoff import Backoff
from aspora.kit.clock import SystemClock
from aspora.models.catalog import Catalog
from aspora.models.defaults import default_objects
from aspora.models.failures import (
    BudgetExceeded,
    ModelNotConfigured,
    ModelRejected,
    ModelTimedOut,
    ModelUnavailable,
)
from aspora.models.interface import CostSource, ModelAttempt, ModelReply, ModelRequest
from aspora.testing.model_server import ModelServer, parse_script

CLOCK = SystemClock()
USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "cost": "0.000123"}
ANSWER = {"answer": "fine", "usage": USAGE}
PROMPT = "a prompt that must never be in an error"
KEY = "key-that-must-never-show"
ASK = ModelRequest(
    models=("claude-sonnet-4-5", "gpt-4o-mini"),
    messages=({"role": "user", "content": PROMPT},),
    max_output_tokens=500,
    temperature_milli=700,
)


@dataclass
class Bench:
    """A client, its server, and all that it reports."""

    server: ModelServer
    client: OwnedClient
    payer: Payer
    attempts: list[ModelAttempt] = field(default_factory=list[ModelAttempt])
    pauses: list[float] = field(default_factory=list[float])
    texts: list[str] = field(default_factory=list[str])

    async def ask(self, request: ModelRequest = ASK, *, stream: bool = False) -> ModelReply:
        return await self.client.generate(
            request,
            charge=self.payer.charge,
            observe=self.attempts.append,
            on_text=self.texts.append if stream else None,
        )

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        return [(a.alias, a.outcome) for a in self.attempts]


def catalog(environment: dict[str, str], *more: dict[str, Any]) -> Catalog:
    objects = [*default_objects(), *more]
    return Catalog(
        [o for o in objects if o["kind"] == "Model"],
        [o for o in objects if o["kind"] == "Provider"],
        environment=environment,
    )


class SleepersClock(SystemClock):
    """Sleeping takes no time, and turns it."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return super().monotonic() + sum(self.slept)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@asynccontextmanager
async def bench(*sequence: Any, cap_micro_usd: int | None = None, rules: Any = ()) -> AsyncIterator[Bench]:
    async with ModelServer(parse_script({"sequence": list(sequence), "rules": list(rules)})) as server:
        env = {"ASPORA_MODEL_URL": server.url, "ASPORA_MODEL_API_KEY": KEY}
        payer, clock = Payer(cap_micro_usd), SleepersClock()
        client = OwnedClient(lambda: catalog(env), payer=payer, clock=clock, sleep=clock.sleep, rand=lambda: 0.5)
        made = Bench(server, client, payer, pauses=clock.slept)
        try:
            yield made
        finally:
            await client.close()


def fault(kind: str, **more: Any) -> dict[str, Any]:
    return {"fault": {"kind": kind, **more}}


@pytest.mark.parametrize("stream", [False, True])
async def test_answers_with_tokens_and_the_upstream_s_cost(stream: bool) -> None:
    async with bench(ANSWER) as b:
        reply = await b.ask(stream=stream)
        sent = b.server.completions[0]
    assert (reply.text, reply.alias, reply.finish_reason) == ("fine", "claude-sonnet-4-5", "stop")
    assert (reply.cost.micro_usd, reply.cost.source) == (123, CostSource.UPSTREAM)
    assert reply.cost.priced_micro_usd == 300 + 150
    assert b.payer.spent_micro_usd == 123
    assert sent.body["model"] == "anthropic/claude-sonnet-4.5"
    assert sent.body["temperature"] == 0.7
    assert sent.headers["authorization"] == "<redacted>"
    assert "".join(b.texts) == ("fine" if stream else "")
    (attempt,) = b.attempts
    assert (attempt.outcome, attempt.attempt, attempt.usage and attempt.usage.input_tokens) == ("ok", 1, 100)


@pytest.mark.parametrize("stream", [False, True])
async def test_reads_tool_calls(stream: bool) -> None:
    async with bench({"tool_calls": [{"name": "read", "arguments": {"path": "a"}}, {"name": "b"}]}) as b:
        reply = await b.ask(stream=stream)
    assert [(c.name, c.arguments) for c in reply.tool_calls] == [("read", '{"path": "a"}'), ("b", "{}")]
    assert reply.finish_reason == "tool_calls"


async def test_openrouter_gets_its_headers_and_key() -> None:
    async with ModelServer(parse_script({"rules": [ANSWER]})) as server:
        objects = default_objects()
        for o in objects:
            if o["metadata"]["name"] == "openrouter":
                o["spec"]["baseUrl"] = server.url
        made = Catalog(
            [o for o in objects if o["kind"] == "Model"],
            [o for o in objects if o["kind"] == "Provider"],
            environment={"OPENROUTER_API_KEY": KEY},
        )
        client = OwnedClient(lambda: made, clock=CLOCK)
        await client.generate(ASK, charge=Payer().charge, observe=lambda _: None)
        await client.close()
        headers = server.completions[0].headers
    assert headers["x-title"] == "Aspora"
    assert headers["http-referer"].startswith("https://")
    assert headers["authorization"] == "<redacted>"


RETRIED: list[tuple[str, str]] = [
    ("rate_limited", "rate_limited"),
    ("server_error", "server_error"),
    ("bad_gateway_html", "server_error"),
    ("reset", "disconnected"),
    ("broken_json", "malformed"),
    ("malformed_sse", "malformed"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("kind", "outcome"), RETRIED)
async def test_retries_what_may_pass(kind: str, outcome: str, stream: bool) -> None:
    async with bench(fault(kind), ANSWER) as b:
        reply = await b.ask(stream=stream)
    assert reply.text == "fine"
    assert b.outcomes == [("claude-sonnet-4-5", outcome), ("claude-sonnet-4-5", "ok")]
    assert b.pauses == [0.5]


async def test_a_cut_answer_is_retried_and_charged_as_in_doubt() -> None:
    async with bench({"answer": "x" * 99, **fault("reset_mid_stream")}, ANSWER) as b:
        await b.ask()
    first, second = b.attempts
    assert (first.outcome, first.cost.source) == ("disconnected", CostSource.IN_DOUBT)
    assert first.cost.micro_usd is not None
    assert first.cost.micro_usd > 0
    assert b.payer.spent_micro_usd == first.cost.micro_usd + 123
    assert second.cost.micro_usd == 123


async def test_refusals_cost_nothing() -> None:
    async with bench(fault("rate_limited"), fault("server_error"), ANSWER) as b:
        await b.ask()
    assert [a.cost.source for a in b.attempts[:2]] == [CostSource.NOTHING] * 2
    assert b.payer.spent_micro_usd == 123


async def test_waits_as_long_as_the_upstream_asks() -> None:
    async with bench(fault("rate_limited", retry_after_seconds=2), ANSWER) as b:
        await b.ask()
    assert b.pauses == [pytest.approx(2.1)]
    assert b.outcomes == [("claude-sonnet-4-5", "rate_limited"), ("claude-sonnet-4-5", "ok")]


@pytest.mark.parametrize(("after", "deadline"), [(3600, None), (20, 5.0)])
async def test_falls_back_rather_than_wait_too_long(after: int, deadline: float | None) -> None:
    request = replace(ASK, deadline=None if deadline is None else CLOCK.monotonic() + deadline)
    async with bench(fault("rate_limited", retry_after_seconds=after), ANSWER) as b:
        reply = await b.ask(request)
    assert reply.alias == "gpt-4o-mini"
    assert b.pauses == []


async def test_falls_back_after_the_last_retry_with_growing_pauses() -> None:
    async with bench(*[fault("server_error")] * 3, ANSWER) as b:
        reply = await b.ask()
        models = [r.body["model"] for r in b.server.completions]
    assert (reply.alias, reply.cost.priced_micro_usd) == ("gpt-4o-mini", 15 + 6)
    assert models == ["anthropic/claude-sonnet-4.5"] * 3 + ["openai/gpt-4o-mini"]
    assert b.pauses == [0.5, 1.0]
    assert [a.attempt for a in b.attempts] == [1, 2, 3, 1]


async def test_a_refused_key_is_not_retried_but_the_fallback_is_tried() -> None:
    async with bench(fault("unauthorized"), ANSWER) as b:
        await b.ask()
    assert b.outcomes == [("claude-sonnet-4-5", "unauthorized"), ("gpt-4o-mini", "ok")]


async def test_a_rejected_request_is_neither_retried_nor_passed_to_the_fallback() -> None:
    async with bench(fault("rejected"), rules=[ANSWER]) as b:
        with pytest.raises(ModelRejected, match="status 400: scripted: bad request"):
            await b.ask()
    assert b.outcomes == [("claude-sonnet-4-5", "rejected")]


async def test_says_once_what_went_wrong_alike_when_none_answered() -> None:
    async with bench(rules=[fault("server_error")]) as b:
        with pytest.raises(ModelUnavailable) as caught:
            await b.ask()
    message = str(caught.value)
    assert message.count("status 500") == 1
    assert "(claude-sonnet-4-5 3x, gpt-4o-mini 2x), try again later; custom: not asked, because its last" in message
    assert PROMPT not in message
    assert KEY not in message


async def test_nothing_is_tried_again_after_the_first_streamed_text() -> None:
    async with bench({"answer": "x" * 40, **fault("reset_mid_stream")}, rules=[ANSWER]) as b:
        with pytest.raises(ModelUnavailable, match="after part of it had been passed on"):
            await b.ask(stream=True)
        sent = len(b.server.completions)
    assert b.texts
    assert sent == 1


async def test_missing_usage_is_charged_at_its_bound() -> None:
    async with bench({"answer": "fine", **fault("missing_usage")}) as b:
        reply = await b.ask(stream=True)
    assert reply.usage is None
    assert reply.cost.source is CostSource.BOUND
    assert "UsageMissing" in reply.cost.flags
    assert b.payer.spent_micro_usd == reply.cost.micro_usd
    assert (reply.cost.micro_usd or 0) >= 500 * 15


@pytest.mark.parametrize("cost", [".nan", "nan", -1, "free"])
async def test_who_names_a_senseless_cost_is_charged_the_hold(cost: Any) -> None:
    async with bench({"answer": "fine", "usage": {**USAGE, "cost": cost}}) as b:
        reply = await b.ask()
    assert reply.cost.source is CostSource.HOLD
    assert b.payer.spent_micro_usd == reply.cost.micro_usd
    assert "CostInvalid" in reply.cost.flags


async def test_an_absurd_cost_is_booked_and_stops_the_next_call() -> None:
    async with bench({"answer": "fine", "usage": {**USAGE, "cost": 1_000_000}}, cap_micro_usd=1_000_000) as b:
        reply = await b.ask()
        with pytest.raises(BudgetExceeded):
            await b.ask()
        sent = len(b.server.completions)
    assert reply.cost.flags == ("CostDrift", "Overrun")
    assert b.payer.spent_micro_usd == 10**12
    assert sent == 1


async def test_the_cap_stops_a_call_before_it_goes_out() -> None:
    async with bench(rules=[ANSWER], cap_micro_usd=5_000) as b:
        with pytest.raises(BudgetExceeded, match=r"spent \$0.00 of the cap of \$0.005 .* could cost up to"):
            await b.ask()
        sent = len(b.server.completions)
    assert sent == 0
    assert b.attempts == []


async def test_an_attempt_in_doubt_counts_against_the_cap_of_its_retry() -> None:
    async with bench(fault("reset"), rules=[ANSWER], cap_micro_usd=20_000) as b:
        with pytest.raises(BudgetExceeded):
            await b.ask()
        sent = len(b.server.completions)
    assert sent == 1
    assert 0 < b.payer.spent_micro_usd <= 20_000


async def test_a_model_without_a_price_is_refused_under_a_cap_only() -> None:
    spec = {"provider": "custom", "upstreamId": "x", "tier": "small", "contextTokens": 1000}
    free = {"kind": "Model", "metadata": {"name": "unpriced"}, "spec": spec}
    async with ModelServer(parse_script({"rules": [{"answer": "fine"}]})) as server:
        client = OwnedClient(lambda: catalog({"ASPORA_MODEL_URL": server.url}, free), clock=CLOCK)
        request = replace(ASK, models=("unpriced",))
        with pytest.raises(ModelNotConfigured, match="'unpriced' has no price"):
            await client.generate(request, charge=Payer(10**9).charge, observe=lambda _: None)
        reply = await client.generate(request, charge=Payer().charge, observe=lambda _: None)
        await client.close()
    assert (reply.cost.micro_usd, reply.cost.source) == (None, CostSource.UNKNOWN)


@pytest.mark.parametrize("kind", ["hang_before_headers", "hang_after_headers"])
@pytest.mark.parametrize("stream", [False, True])
async def test_the_deadline_ends_a_hanging_call_and_closes_its_socket(kind: str, stream: bool) -> None:
    async with bench(rules=[fault(kind)]) as b:
        started = CLOCK.monotonic()
        with pytest.raises(ModelTimedOut, match="the deadline passed"):
            await b.ask(replace(ASK, deadline=started + 0.3), stream=stream)
        ended = CLOCK.monotonic()
        recorded = await b.server.wait_for(1)
        await asyncio.wait_for(recorded.done.wait(), 30)
    assert ended - started >= 0.29, "it ended before its deadline"
    assert recorded.outcome == "client left"
    assert b.outcomes == [("claude-sonnet-4-5", "timeout")]
    assert b.attempts[0].cost.source is CostSource.IN_DOUBT


async def test_no_attempt_starts_after_the_deadline() -> None:
    async with bench(rules=[ANSWER]) as b:
        with pytest.raises(ModelTimedOut):
            await b.ask(replace(ASK, deadline=CLOCK.monotonic()))
        sent = len(b.server.completions)
    assert (sent, b.attempts) == (0, [])


@pytest.mark.parametrize("stream", [False, True])
async def test_cancelling_closes_the_socket_and_charges_the_doubt(stream: bool) -> None:
    async with bench(rules=[fault("hang_after_headers")]) as b:
        asking = asyncio.create_task(b.ask(stream=stream))
        recorded = await b.server.wait_for(1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.wait_for(recorded.done.wait(), 30)
    assert recorded.outcome == "client left"
    assert b.outcomes == [("claude-sonnet-4-5", "cancelled")]
    assert b.payer.spent_micro_usd == b.attempts[0].cost.micro_usd
    assert b.payer.spent_micro_usd > 0


async def test_a_too_long_answer_is_not_read_to_its_end() -> None:
    async with bench({"answer": "a", **fault("huge", huge_bytes=10_000_000)}, ANSWER) as b:
        await b.ask()
    assert b.outcomes[0] == ("claude-sonnet-4-5", "too_large")
    assert b.outcomes[1] == ("gpt-4o-mini", "ok")


async def test_a_slow_answer_in_time_is_an_answer() -> None:
    async with bench({"answer": "drip drop", "usage": USAGE, **fault("slow", delay_seconds=0.01)}) as b:
        reply = await b.ask(stream=True)
    assert reply.text == "drip drop"
    assert len(b.texts) > 1


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (lambda: f"http://127.0.0.1:{free_port()}/v1", "refuses the connection"),
        (lambda: f"http://{'a' * 64}.invalid/v1", "is not a URL that can be called"),
    ],
)
async def test_an_endpoint_that_is_not_there_costs_nothing(url: Callable[[], str], says: str) -> None:
    attempts: list[ModelAttempt] = []
    payer = Payer(10**6)
    given = url()
    made = catalog({"ASPORA_MODEL_URL": given})
    backoff = Backoff(base_seconds=0.001)
    client = OwnedClient(lambda: made, payer=payer, clock=CLOCK, backoff=backoff, rand=lambda: 0.5)
    with pytest.raises(ModelUnavailable) as caught:
        await client.generate(ASK, charge=payer.charge, observe=attempts.append)
    await client.close()
    assert str(caught.value) == (
        f"no model answered: custom: {given} {says} (claude-sonnet-4-5 3x, gpt-4o-mini 2x),"
        " check ASPORA_MODEL_URL; custom: not asked, because its last calls failed (gpt-4o-mini), try again in 7 s;"
        " see that the endpoints are up, or name another by model.fallback"
    )
    assert {a.outcome for a in attempts} == {"unreachable"}
    assert len(attempts) == 5
    assert payer.spent_micro_usd == 0


async def test_the_same_upstream_serves_many_at_once() -> None:
    async with bench(rules=[ANSWER], cap_micro_usd=10_000_000) as b:
        replies = await asyncio.gather(*(b.ask() for _ in range(40)))
    assert {r.text for r in replies} == {"fine"}
    assert b.payer.spent_micro_usd == 40 * 123
