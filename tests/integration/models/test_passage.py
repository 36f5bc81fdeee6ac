"""Requests passed on to the scripted upstream over real HTTP: every fault, whole and as a stream, and its money."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.integration.models.test_client import ANSWER, CLOCK, KEY, PROMPT, catalog, fault
from tests.payers import Payer

from aspora.models.attempts import Attempts
from aspora.models.failures import BudgetExceeded, ModelRejected, ModelTimedOut, ModelUnavailable
from aspora.models.interface import CostSource, ModelAttempt
from aspora.models.passage import LiveStream, Passage, Passed
from aspora.models.question import Question
from aspora.testing.model_server import ModelServer, parse_script

FIRST, SECOND = "claude-sonnet-4-5", "gpt-4o-mini"
LONG = {"answer": "word " * 40}
PROVIDER = {
    "baseUrlFromEnv": "ASPORA_MODEL_URL",
    "apiKeyFromEnv": "ASPORA_MODEL_API_KEY",
    "apiKeyRequired": False,
    "servesEveryModel": True,
}


@dataclass
class Bench:
    server: ModelServer
    passage: Passage
    payer: Payer
    attempts: list[ModelAttempt] = field(default_factory=list[ModelAttempt])
    pauses: list[float] = field(default_factory=list[float])

    def question(self, *, streams: bool, seconds: float | None = None) -> Question:
        return Question(
            models=(FIRST, SECOND),
            body={"messages": [{"role": "user", "content": PROMPT}], "seed": 7},
            max_output_tokens=500,
            streams=streams,
            deadline=None if seconds is None else CLOCK.monotonic() + seconds,
        )

    async def whole(self, **options: Any) -> Passed:
        return await self.passage.whole(
            self.question(streams=False, **options), charge=self.payer.charge, observe=self.attempts.append
        )

    async def live(self, **options: Any) -> LiveStream:
        return await self.passage.stream(
            self.question(streams=True, **options),
            shows_usage=True,
            charge=self.payer.charge,
            observe=self.attempts.append,
        )

    async def ask(self, *, streams: bool, **options: Any) -> str:
        """The answer's text, however it comes."""
        if not streams:
            return str(json.loads((await self.whole(**options)).body)["choices"][0]["message"]["content"])
        return "".join([text_of(events) async for events in await self.live(**options)])

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        return [(a.alias, a.outcome) for a in self.attempts]


def chunks(events: bytes) -> list[Any]:
    data = [line[6:] for line in events.splitlines() if line.startswith(b"data: ")]
    return [json.loads(d) for d in data if d != b"[DONE]"]


def text_of(events: bytes) -> str:
    choices = [c["choices"][0] for c in chunks(events) if c.get("choices")]
    return "".join(c["delta"].get("content") or "" for c in choices)


@asynccontextmanager
async def bench(
    *sequence: Any, rules: Any = (), timeout_seconds: int = 60, cap_micro_usd: int = 10**9, provider: Any = None
) -> AsyncIterator[Bench]:
    async with ModelServer(parse_script({"sequence": list(sequence), "rules": list(rules)})) as server:
        env = {"ASPORA_MODEL_URL": server.url, "ASPORA_MODEL_API_KEY": KEY}
        spec = {**PROVIDER, "timeoutSeconds": timeout_seconds, **(provider or {})}
        made = catalog(env, {"kind": "Provider", "metadata": {"name": "custom"}, "spec": spec})
        payer, pauses = Payer(cap_micro_usd), list[float]()

        async def sleep(seconds: float) -> None:
            pauses.append(seconds)

        attempts = Attempts(lambda: made, ledger=payer.ledger, clock=CLOCK, sleep=sleep, rand=lambda: 0.5)
        try:
            yield Bench(server, Passage(attempts), payer, pauses=pauses)
        finally:
            await attempts.close()


RETRIED = [
    ("rate_limited", "rate_limited"),
    ("server_error", "server_error"),
    ("bad_gateway_html", "server_error"),
    ("reset", "disconnected"),
    ("broken_json", "malformed"),
    ("malformed_sse", "malformed"),
]
both = pytest.mark.parametrize("streams", [False, True])


@both
@pytest.mark.parametrize(("kind", "outcome"), RETRIED)
async def test_retries_what_may_pass(kind: str, outcome: str, streams: bool) -> None:
    async with bench(fault(kind), ANSWER) as b:
        assert await b.ask(streams=streams) == "fine"
    assert b.outcomes == [(FIRST, outcome), (FIRST, "ok")]


@both
async def test_what_the_caller_sends_goes_out_with_a_cap_and_our_id(streams: bool) -> None:
    async with bench(ANSWER) as b:
        await b.ask(streams=streams)
        sent = b.server.completions[0]
    assert (sent.body["seed"], sent.body["max_tokens"]) == (7, 500)
    assert sent.headers["x-client-request-id"] == "call-1"


async def test_an_answer_comes_back_byte_for_byte() -> None:
    async with bench(ANSWER) as b:
        passed = await b.whole()
    body = json.loads(passed.body)
    assert body["usage"]["cost"] == 0.000123
    assert (passed.alias, passed.provider, passed.cost.micro_usd) == (FIRST, "custom", 123)


@both
async def test_waits_as_long_as_the_upstream_asks(streams: bool) -> None:
    async with bench(fault("rate_limited", retry_after_seconds=2), ANSWER) as b:
        await b.ask(streams=streams)
    assert b.pauses == [pytest.approx(2.1)]


@both
async def test_a_rejected_request_reaches_no_other_model(streams: bool) -> None:
    async with bench(fault("rejected"), rules=[ANSWER]) as b:
        with pytest.raises(ModelRejected):
            await b.ask(streams=streams)
    assert b.outcomes == [(FIRST, "rejected")]
    assert b.payer.spent_micro_usd == 0


@both
async def test_an_expired_key_falls_back(streams: bool) -> None:
    async with bench(fault("unauthorized"), ANSWER) as b:
        await b.ask(streams=streams)
    assert b.outcomes == [(FIRST, "unauthorized"), (SECOND, "ok")]


@both
@pytest.mark.parametrize("kind", ["hang_before_headers", "hang_after_headers"])
async def test_a_hang_ends_at_the_provider_s_timeout_in_doubt_and_falls_back(kind: str, streams: bool) -> None:
    async with bench(fault(kind), ANSWER, timeout_seconds=1) as b:
        assert await b.ask(streams=streams) == "fine"
    assert b.outcomes == [(FIRST, "timeout"), (SECOND, "ok")]
    assert b.attempts[0].cost.source is CostSource.IN_DOUBT


@both
async def test_all_down_fails_within_its_deadline_and_tells_the_attempts(streams: bool) -> None:
    async with bench(rules=[fault("hang_before_headers")]) as b:
        began = CLOCK.monotonic()
        with pytest.raises(ModelTimedOut, match="tried: custom"):
            await b.ask(streams=streams, seconds=1.0)
    assert CLOCK.monotonic() - began < 10


@both
async def test_none_answers(streams: bool) -> None:
    async with bench(rules=[fault("server_error")]) as b:
        with pytest.raises(ModelUnavailable) as caught:
            await b.ask(streams=streams)
    assert "(claude-sonnet-4-5 3x, gpt-4o-mini 2x)" in caught.value.message
    assert PROMPT not in caught.value.message
    assert KEY not in caught.value.message


@both
async def test_missing_usage_is_charged_at_its_bound(streams: bool) -> None:
    async with bench({"answer": "fine", **fault("missing_usage")}) as b:
        await b.ask(streams=streams)
    (attempt,) = b.attempts
    assert (attempt.usage, attempt.cost.source) == (None, CostSource.BOUND)
    assert attempt.cost.flags == ("UsageMissing",)


@both
async def test_a_model_that_is_not_the_one_asked_for_is_a_finding(streams: bool) -> None:
    async with bench(
        {**ANSWER, "model_echo": "other-model"}, {**ANSWER, "model_echo": "claude-sonnet-4.5-20260101"}
    ) as b:
        await b.ask(streams=streams)
        await b.ask(streams=streams)
    assert ["ModelDiffers" in a.cost.flags for a in b.attempts] == [True, False]


@both
async def test_an_answer_of_ten_megabytes_is_too_large_and_falls_back(streams: bool) -> None:
    async with bench({"answer": "fine", **fault("huge")}, ANSWER) as b:
        assert await b.ask(streams=streams) == "fine"
    assert b.outcomes == [(FIRST, "too_large"), (SECOND, "ok")]


@both
async def test_a_slow_drip_arrives(streams: bool) -> None:
    async with bench({"answer": "drip drop", **fault("slow", delay_seconds=0.05)}) as b:
        assert await b.ask(streams=streams) == "drip drop"


async def test_a_stream_that_breaks_off_says_so_and_is_charged_for_what_came() -> None:
    async with bench({**LONG, **fault("reset_mid_stream")}, rules=[ANSWER]) as b:
        events = b"".join([e async for e in await b.live()])
        sent = len(b.server.completions)
    assert sent == 1, "nothing is tried again after the first token"
    last = chunks(events)[-1]
    assert last["error"]["code"] == "disconnected"
    assert b"[DONE]" not in events
    (attempt,) = b.attempts
    assert (attempt.outcome, attempt.cost.flags) == ("disconnected", ("Cut",))
    assert 0 < b.payer.spent_micro_usd == attempt.cost.micro_usd


async def test_a_stream_that_is_left_closes_its_connection_and_is_charged_for_what_came() -> None:
    async with bench({**LONG, **fault("slow", delay_seconds=0.2)}) as b:
        live = await b.live()
        await anext(live)
        await live.aclose()
        recorded = b.server.completions[0]
        async with asyncio.timeout(10):
            await recorded.done.wait()
    assert recorded.outcome == "client left"
    (attempt,) = b.attempts
    assert (attempt.outcome, attempt.cost.source, attempt.cost.flags) == ("cancelled", CostSource.BOUND, ("Cut",))


@pytest.mark.parametrize("tells", [True, False])
async def test_what_a_cut_stream_cost_is_asked_by_its_generation(tells: bool) -> None:
    provider = {"generationPath": "/generation?id={id}"}
    async with bench({**LONG, **fault("slow", delay_seconds=0.2)}, provider=provider) as b:
        live = await b.live()
        first = chunks(await anext(live))[0]
        if tells:
            told = {"total_cost": 0.000777, "native_tokens_prompt": 11, "native_tokens_completion": 3}
            b.server.generations[first["id"]] = told
        await live.aclose()
        (attempt,) = b.attempts
        held = b.payer.spent_micro_usd
        async with asyncio.timeout(10):
            while b.payer.spent_micro_usd == held:
                await asyncio.sleep(0.01)
    assert attempt.cost.source is CostSource.IN_DOUBT
    assert held == attempt.cost.micro_usd
    assert b.pauses == ([1.0] if tells else [1.0, 5.0, 30.0, 120.0])
    assert (b.payer.spent_micro_usd == 777) is tells
    assert 0 < b.payer.spent_micro_usd < held


async def test_a_caller_who_leaves_before_the_first_token_is_charged_in_doubt() -> None:
    async with bench(rules=[fault("hang_before_headers")]) as b:
        asking = asyncio.create_task(b.live())
        await b.server.wait_for(1)
        asking.cancel()
        await asyncio.wait({asking})
    (attempt,) = b.attempts
    assert (attempt.outcome, attempt.cost.source) == ("cancelled", CostSource.IN_DOUBT)


async def test_an_upstream_that_does_not_stream_is_streamed_all_the_same() -> None:
    async with bench({**ANSWER, **fault("not_streamed")}) as b:
        events = b"".join([e async for e in await b.live()])
    assert text_of(events) == "fine"
    assert events.endswith(b"data: [DONE]\n\n")
    assert b.payer.spent_micro_usd == 123


@both
async def test_a_cap_holds_under_many_at_once(streams: bool) -> None:
    dear = {"answer": "dear", "usage": {"prompt_tokens": 9, "completion_tokens": 9, "cost": "0.009"}}
    async with bench(rules=[dear], cap_micro_usd=100_000) as b:
        results = await asyncio.gather(*(b.ask(streams=streams) for _ in range(40)), return_exceptions=True)
        sent = len(b.server.completions)
    assert {type(r) for r in results if not isinstance(r, str)} <= {BudgetExceeded}
    assert b.payer.spent_micro_usd == sent * 9000 <= 100_000
