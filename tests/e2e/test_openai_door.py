"""`/v1` as clients of OpenAI's API use it: the official client, unchanged, against the scripted upstream."""

import asyncio
import json
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import openai
import psycopg
import pytest
from openai import AsyncOpenAI
from tests.e2e.server import Aspora, started
from tests.servers import free_port

from aspora.testing.model_server import ModelServer, parse_script
from aspora.testing.postgres import SharedPostgres

PROMPT = "a prompt that must never be in a log"
MESSAGES: Any = [{"role": "user", "content": PROMPT}]
USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "cost": "0.000405"}
ANSWER = {"answer": "fine and well", "usage": USAGE}
MODEL = "claude-sonnet-4-5"
TOOLS: Any = [{"type": "function", "function": {"name": "read", "parameters": {"type": "object", "properties": {}}}}]


class Door:
    """An Aspora whose models are all served by a scripted upstream, which each test starts anew."""

    def __init__(self, aspora: Aspora, port: int, dsn: str) -> None:
        self.aspora = aspora
        self.port = port
        self.dsn = dsn

    @asynccontextmanager
    async def upstream(self, *sequence: Any, rules: Any = ()) -> AsyncIterator[ModelServer]:
        script = parse_script({"sequence": list(sequence), "rules": list(rules)})
        async with ModelServer(script, port=self.port) as server:
            yield server

    def client(self, key: str | None = None, *, max_retries: int = 0) -> AsyncOpenAI:
        return AsyncOpenAI(
            base_url=f"{self.aspora.url}/v1", api_key=key or self.aspora.key, max_retries=max_retries, timeout=30
        )

    def key(self, domain: str, name: str, **spec: Any) -> str:
        """A virtual key of a new domain."""
        self.aspora.http("POST", "/api/v1/domains", _object("Domain", domain, {}))
        binding = {"roleRef": {"name": "author"}, "subjects": [{"name": f"{name}-owner"}]}
        status, made = self.aspora.http(
            "POST", f"/api/v1/domains/{domain}/rolebindings", _object("RoleBinding", name, binding, domain)
        )
        assert status in (201, 409), made
        status, made = self.aspora.http(
            "POST",
            f"/api/v1/domains/{domain}/apikeys",
            _object("ApiKey", name, {"owner": f"{name}-owner", **spec}, domain),
        )
        assert status == 201, made
        return str(made["once"]["key"])

    def calls(self, domain: str) -> list[tuple[str, int, str]]:
        """Outcome, cost and source of each settled call."""
        with psycopg.connect(self.dsn) as connection:
            rows = connection.execute(
                "select outcome, cost, cost_source from ledger_calls where domain = %s order by settled_at, id",
                [domain],
            )
            return [(str(o), int(c), str(s)) for o, c, s in rows]

    async def settled(self, domain: str, count: int) -> list[tuple[str, int, str]]:
        """The same, once there are so many."""
        async with asyncio.timeout(20):
            while len(found := await asyncio.to_thread(self.calls, domain)) < count:
                await asyncio.sleep(0.05)
        return found


def _object(kind: str, name: str, spec: Any, domain: str | None = None) -> dict[str, Any]:
    metadata = {"name": name} | ({"domain": domain} if domain else {})
    return {"apiVersion": "aspora.dev/v1", "kind": kind, "metadata": metadata, "spec": spec}


@pytest.fixture(scope="module")
def door(postgres: SharedPostgres) -> Generator[Door]:
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1"
    with postgres.database() as dsn, started(ASPORA_MODEL_URL=url, ASPORA_DATABASE_URL=dsn) as aspora:
        yield Door(aspora, port, dsn)


async def test_the_official_client_gets_an_answer_and_its_cost_is_booked(door: Door) -> None:
    key = door.key("plain", "key")
    async with door.upstream(ANSWER) as upstream, door.client(key) as client:
        raw = await client.chat.completions.with_raw_response.create(model=MODEL, messages=MESSAGES, temperature=0.2)
        sent = upstream.completions[0]
    answer = raw.parse()
    assert answer.choices[0].message.content == "fine and well"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (100, 10)
    assert raw.headers["x-aspora-model"] == MODEL
    assert raw.headers["x-aspora-cost-micro-usd"] == "405"
    assert sent.body["model"] == "anthropic/claude-sonnet-4.5"
    assert sent.body["temperature"] == 0.2
    assert sent.body["max_tokens"] == 4096, "a cap is always sent"
    assert await door.settled("plain", 1) == [("ok", 405, "upstream")]


async def test_tools_and_json_schema_go_through_unchanged(door: Door) -> None:
    schema: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    call = {"tool_calls": [{"name": "read", "arguments": {"path": "a"}}]}
    async with door.upstream(call) as upstream, door.client() as client:
        answer = await client.chat.completions.create(
            model=MODEL, messages=MESSAGES, tools=TOOLS, response_format=schema, max_completion_tokens=99
        )
        sent = upstream.completions[0].body
    (made,) = answer.choices[0].message.tool_calls or ()
    assert made.type == "function"
    assert (made.function.name, json.loads(made.function.arguments)) == ("read", {"path": "a"})
    assert (sent["tools"], sent["response_format"], sent["max_tokens"]) == (TOOLS, schema, 99)


@pytest.mark.parametrize("include_usage", [True, False])
async def test_a_stream_is_passed_on_and_its_usage_only_if_asked_for(door: Door, include_usage: bool) -> None:
    domain = f"stream-{include_usage}".lower()
    key = door.key(domain, "key")
    options: Any = {"stream_options": {"include_usage": True}} if include_usage else {}
    async with door.upstream(ANSWER) as upstream, door.client(key) as client:
        stream = await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True, **options)
        chunks = [chunk async for chunk in stream]
        sent = upstream.completions[0].body
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "fine and well"
    assert [c.usage is not None for c in chunks if not c.choices] == ([True] if include_usage else [])
    assert sent["stream_options"] == {"include_usage": True}
    assert await door.settled(domain, 1) == [("ok", 405, "upstream")]


async def test_embeddings_and_models(door: Door) -> None:
    async with door.upstream(), door.client() as client:
        names = [model.id async for model in client.models.list()]
        one = await client.models.retrieve(MODEL)
        with pytest.raises(openai.NotFoundError, match="unknown model 'claude-sonet-4-5'; did you mean"):
            await client.models.retrieve("claude-sonet-4-5")
        vectors = await client.embeddings.create(model=MODEL, input=["one", "two"], encoding_format="float")
    assert MODEL in names
    assert one.id == MODEL
    assert len(vectors.data) == 2


async def test_a_cap_stops_the_next_call_and_says_what_was_spent(door: Door) -> None:
    key = door.key("capped", "key", budgets=[{"window": "day", "capMicroUsd": 100_000}])
    dear = {"answer": "dear", "usage": {**USAGE, "cost": "0.05"}}
    async with door.upstream(rules=[dear]) as upstream, door.client(key) as client:
        await client.chat.completions.create(model=MODEL, messages=MESSAGES)
        await door.settled("capped", 1)
        with pytest.raises(openai.APIStatusError) as caught:
            await client.chat.completions.create(model=MODEL, messages=MESSAGES)
        sent = len(upstream.completions)
    assert caught.value.status_code == 402
    assert "spent $0.05 of the cap of $0.10" in caught.value.message
    assert sent == 1


async def test_what_has_no_bound_is_refused_under_a_cap(door: Door) -> None:
    key = door.key("unbounded", "key", budgets=[{"window": "day", "capMicroUsd": 10_000_000}])
    async with door.upstream(rules=[ANSWER]) as upstream, door.client(key) as client:
        with pytest.raises(openai.BadRequestError, match="web_search_options: searches are priced apart"):
            await client.chat.completions.create(model=MODEL, messages=MESSAGES, web_search_options={})
        assert upstream.completions == []


async def test_requests_and_tokens_a_minute_are_limited(door: Door) -> None:
    key = door.key("rated", "key", requestsPerMinute=3)
    async with door.upstream(rules=[ANSWER]) as upstream, door.client(key) as client:
        results = await asyncio.gather(
            *(client.chat.completions.create(model=MODEL, messages=MESSAGES) for _ in range(12)), return_exceptions=True
        )
        sent = len(upstream.completions)
    refused = [r for r in results if isinstance(r, openai.RateLimitError)]
    # The minute may turn once in between.
    assert sent in (3, 6)
    assert len(refused) == 12 - sent
    assert all(int(r.response.headers["retry-after"]) <= 60 for r in refused)


async def test_a_key_that_names_its_models_reaches_no_other(door: Door) -> None:
    key = door.key("few", "key", models=["gpt-4o-mini"])
    async with door.upstream(rules=[ANSWER]), door.client(key) as client:
        with pytest.raises(openai.PermissionDeniedError, match="may not call model 'claude-sonnet-4-5'"):
            await client.chat.completions.create(model=MODEL, messages=MESSAGES)
        await client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
        assert [model.id async for model in client.models.list()] == ["gpt-4o-mini"]


async def test_a_model_that_nobody_names_is_chosen_by_the_task(door: Door) -> None:
    asked: list[tuple[Any, dict[str, str]]] = [
        ({}, {"x-aspora-task": "classification"}),
        ({"reasoning_effort": "high"}, {}),
        ({}, {}),
        ({"tools": TOOLS}, {}),
        ({"tools": TOOLS}, {"x-aspora-task": "complex_reasoning"}),
    ]
    async with door.upstream(rules=[ANSWER]) as upstream, door.client() as client:
        for more, headers in asked:
            await client.chat.completions.create(model="auto", messages=MESSAGES, extra_headers=headers, **more)
        with pytest.raises(openai.BadRequestError, match="no type of task; use one of: classification"):
            await client.chat.completions.create(
                model="auto", messages=MESSAGES, extra_headers={"x-aspora-task": "sorting"}
            )
        models = [request.body["model"] for request in upstream.completions]
    assert models == [
        "anthropic/claude-haiku-4.5",
        "openai/gpt-4o-mini",
        "openai/gpt-4o-mini",
        "anthropic/claude-sonnet-4.5",
        "anthropic/claude-sonnet-4.5",
    ]


async def test_a_caller_s_own_fallbacks_are_tried(door: Door) -> None:
    async with door.upstream({"fault": {"kind": "unauthorized"}}, ANSWER) as upstream, door.client() as client:
        raw = await client.chat.completions.with_raw_response.create(
            model=MODEL, messages=MESSAGES, extra_body={"models": ["gpt-4o-mini"]}
        )
        sent = [request.body for request in upstream.completions]
    assert raw.headers["x-aspora-model"] == "gpt-4o-mini"
    assert [body["model"] for body in sent] == ["anthropic/claude-sonnet-4.5", "openai/gpt-4o-mini"]
    assert all("models" not in body for body in sent)


async def test_a_domain_s_data_goes_only_where_it_may(door: Door) -> None:
    policy = {"modelPolicy": {"regions": ["eu"], "allowsTraining": False}}
    status, _ = door.aspora.http("POST", "/api/v1/domains", _object("Domain", "strict", policy))
    assert status == 201
    key = door.key("strict", "key")
    async with door.upstream(rules=[ANSWER]) as upstream, door.client(key) as client:
        with pytest.raises(openai.NotFoundError, match="use a provider in eu: Provider 'custom' is in no known region"):
            await client.chat.completions.create(model=MODEL, messages=MESSAGES)
        assert upstream.completions == []


async def test_errors_have_the_form_that_clients_look_for(door: Door) -> None:
    async with door.upstream(rules=[{"fault": {"kind": "rejected"}}]), door.client() as client:
        with pytest.raises(openai.BadRequestError, match="the upstream refused the request") as rejected:
            await client.chat.completions.create(model=MODEL, messages=MESSAGES)
        with pytest.raises(openai.BadRequestError, match="'messages' must be a list"):
            await client.chat.completions.create(model=MODEL, messages=[])
        for wrong, says in (
            ({"tools": 5}, "'tools' must be a list"),
            ({"n": 0}, "'n' must be a whole number from 1"),
            ({"stream_options": 3}, "'stream_options' must be an object"),
            ({"models": [1]}, "'models' must be a list of names"),
        ):
            with pytest.raises(openai.BadRequestError, match=says):
                await client.chat.completions.create(model=MODEL, messages=MESSAGES, extra_body=wrong)
        for header, says in (
            ("x-aspora-domain", "domain 'nope' not found"),
            ("x-aspora-task", "'nope', which is no type"),
        ):
            with pytest.raises(openai.APIStatusError, match=says):
                await client.chat.completions.create(model=MODEL, messages=MESSAGES, extra_headers={header: "nope"})
        with pytest.raises(openai.NotFoundError, match="unknown model 'nope'"):
            await client.chat.completions.create(model="nope", messages=MESSAGES)
        async with door.client("aspora_x_" + "0" * 64) as stranger:
            with pytest.raises(openai.AuthenticationError):
                await stranger.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert rejected.value.body is not None
    assert isinstance(rejected.value.body, dict)
    assert rejected.value.body["code"] == "BadRequest"


async def test_all_upstreams_down_is_told_with_the_attempts(door: Door) -> None:
    async with door.client() as client:
        with pytest.raises(openai.InternalServerError) as caught:
            await client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert caught.value.status_code == 503
    assert "no model answered" in caught.value.message
    assert "3 tries" in caught.value.message


async def test_a_skill_answers_as_a_model(door: Door) -> None:
    await asyncio.to_thread(door.aspora.ok, "apply", "-f", "skills/ecm")
    async with door.client() as client:
        question: Any = [{"role": "user", "content": "Where is my order ORD-10201?"}]
        answer = await client.chat.completions.create(model="skill:ecm/order-details", messages=question)
        stream = await client.chat.completions.create(model="skill:ecm/order-details", messages=question, stream=True)
        streamed = "".join([c.choices[0].delta.content or "" async for c in stream])
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(model="skill:ecm/nope", messages=question)
    assert "ORD-10201" in (answer.choices[0].message.content or "")
    assert streamed == answer.choices[0].message.content
    assert answer.id.startswith("EXEC-")


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_hangs_up_ends_the_upstream_s_work(door: Door, stream: bool) -> None:
    domain = f"hangup-{stream}".lower()
    key = door.key(domain, "key")
    slow = {"answer": "one two three four five", "fault": {"kind": "slow", "delay_seconds": 0.5}}
    hang = slow if stream else {"fault": {"kind": "hang_before_headers"}}
    async with door.upstream(rules=[hang]) as upstream, aiohttp.ClientSession() as session:
        body = {"model": MODEL, "messages": MESSAGES, "stream": stream}
        headers = {"Authorization": f"Bearer {key}"}
        asking = asyncio.create_task(session.post(f"{door.aspora.url}/v1/chat/completions", json=body, headers=headers))
        seen = await upstream.wait_for(1)
        if stream:
            response = await asking
            await response.content.readany()
            response.close()
        else:
            asking.cancel()
            await asyncio.wait({asking})
        left_at = asyncio.get_running_loop().time()
        async with asyncio.timeout(10):
            await seen.done.wait()
        assert seen.outcome == "client left"
        print(f"upstream saw it after {asyncio.get_running_loop().time() - left_at:.3f} s")
    if stream:
        ((outcome, cost, source),) = await door.settled(domain, 1)
        assert (outcome, source) == ("cancelled", "prices")
        assert cost > 0


def test_neither_keys_nor_prompts_are_in_logs(door: Door) -> None:
    logs = [p.read_text() for p in door.aspora.data_dir.rglob("*.log")]
    assert logs
    assert not [log for log in logs if PROMPT in log or door.aspora.key in log]
