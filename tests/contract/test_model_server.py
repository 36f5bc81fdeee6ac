"""The scripted model server over real HTTP: the wire format, the rules, and each fault as a client sees it."""

import asyncio
import base64
import json
import struct
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientResponse
from openai import AsyncOpenAI

from aspora.testing.model_server import ModelServer, ScriptInvalid, load_script, parse_script

ASK: dict[str, Any] = {"model": "m-1", "messages": [{"role": "user", "content": "Weather in Pune?"}]}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def server(**script: Any) -> ModelServer:
    return ModelServer(parse_script(script))


def post(
    http: aiohttp.ClientSession, running: ModelServer, **changes: Any
) -> AbstractAsyncContextManager[ClientResponse]:
    return http.post(f"{running.url}/chat/completions", json={**ASK, **changes})


@dataclass(frozen=True)
class Got:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


async def read(http: aiohttp.ClientSession, running: ModelServer, **changes: Any) -> Got:
    async with post(http, running, **changes) as response:
        return Got(response.status, response.headers, await response.read())


async def drain(response: ClientResponse, seen: bytearray) -> None:
    async for piece in response.content.iter_any():
        seen += piece


def events(response: Got) -> list[Any]:
    text = response.body.decode()
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


async def test_answers_with_groups_of_the_match_and_says_it_is_scripted(http: aiohttp.ClientSession) -> None:
    async with server(rules=[{"when": {"user": r"in (?P<city>\w+)"}, "answer": "Dry in ${city}."}]) as running:
        response = await read(http, running)
        body = response.json()
    assert response.headers["x-aspora-scripted"] == "true"
    assert body["system_fingerprint"] == "scripted"
    assert body["choices"][0]["message"]["content"] == "Dry in Pune."
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"]["completion_tokens"] == 3
    assert "cost" not in body["usage"]


async def test_streams_an_answer_with_its_usage_last(http: aiohttp.ClientSession) -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "cost": "0.000012"}
    async with server(rules=[{"answer": "one two three", "usage": usage}]) as running:
        chunks = events(await read(http, running, stream=True))
    text = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"])
    assert text == "one two three"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["cost"] == 0.000012
    assert all("usage" not in c for c in chunks[:-1])


async def test_asks_for_tools_then_answers_from_their_results(http: aiohttp.ClientSession) -> None:
    rules = [
        {"when": {"tool_results": 0}, "tool_calls": [{"name": "read", "arguments": {"path": "${city}.md"}}]},
        {"when": {"tool": r"(?P<degrees>\d+) C"}, "answer_json": {"degrees": "${degrees}", "said": "${tool}"}},
    ]
    rules[0]["when"] = {"tool_results": 0, "user": r"in (?P<city>\w+)"}
    async with server(rules=rules) as running:
        first = (await read(http, running)).json()["choices"][0]
        call = first["message"]["tool_calls"][0]
        result = {"role": "tool", "tool_call_id": call["id"], "content": 'it "is" 31 C'}
        history = [*ASK["messages"], first["message"], result]
        second = (await read(http, running, messages=history)).json()["choices"][0]
    assert first["finish_reason"] == "tool_calls"
    assert json.loads(call["function"]["arguments"]) == {"path": "Pune.md"}
    assert json.loads(second["message"]["content"]) == {"degrees": "31", "said": 'it "is" 31 C'}


async def test_the_official_client_reads_a_streamed_tool_call() -> None:
    rules = [{"tool_calls": [{"name": "read", "arguments": {"path": "a/b.md"}}, {"name": "list"}]}]
    running = server(rules=rules)
    async with running, AsyncOpenAI(base_url="http://unset", api_key="k", max_retries=0) as client:
        client.base_url = running.url
        async with client.chat.completions.stream(model="m", messages=ASK["messages"]) as stream:
            final = await stream.get_final_completion()
        models = [m.id async for m in client.models.list()]
    calls = final.choices[0].message.tool_calls or []
    assert [(c.function.name, c.function.arguments) for c in calls] == [("read", '{"path": "a/b.md"}'), ("list", "{}")]
    assert models == ["scripted"]


async def test_sequence_is_served_in_order_before_the_rules(http: aiohttp.ClientSession) -> None:
    script: dict[str, Any] = {
        "sequence": [{"answer": "1"}, {"answer": "2"}],
        "rules": [{"times": 1, "answer": "once"}, {"when": {"call": 4}, "answer": "fourth"}],
    }
    async with server(**script) as running:
        said = [(await read(http, running)).json()["choices"][0]["message"]["content"] for _ in range(4)]
        fifth = await read(http, running)
        reason = fifth.json()["error"]["message"]
    assert said == ["1", "2", "once", "fourth"]
    assert fifth.status == 400
    assert "no rule of the script matches request 5" in reason
    assert running.completions[-1].outcome == "unmatched"


async def test_records_requests_without_credentials(http: aiohttp.ClientSession) -> None:
    async with server(rules=[{"answer": "ok"}]) as running:
        headers = {"Authorization": "Bearer very-secret", "X-Title": "Aspora"}
        async with http.post(f"{running.url}/chat/completions", json=ASK, headers=headers) as response:
            await response.read()
        recorded = await running.wait_for(1)
    assert recorded.headers["authorization"] == "<redacted>"
    assert recorded.headers["x-title"] == "Aspora"
    assert "very-secret" not in repr(recorded)
    assert recorded.body["messages"] == ASK["messages"]


@pytest.mark.parametrize(
    ("kind", "status"),
    [("rate_limited", 429), ("server_error", 500), ("bad_gateway_html", 502), ("rejected", 400), ("unauthorized", 401)],
)
async def test_error_statuses(http: aiohttp.ClientSession, kind: str, status: int) -> None:
    async with server(rules=[{"fault": {"kind": kind}}]) as running:
        response = await read(http, running)
    assert response.status == status
    assert "Retry-After" not in response.headers
    assert running.completions[0].outcome == "faulted"


async def test_rate_limit_can_say_when_to_come_back(http: aiohttp.ClientSession) -> None:
    async with server(rules=[{"fault": {"kind": "rate_limited", "retry_after_seconds": 2}}]) as running:
        response = await read(http, running)
    assert response.headers["Retry-After"] == "2"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", ["hang_before_headers", "hang_after_headers"])
async def test_hangs_until_the_client_leaves(http: aiohttp.ClientSession, kind: str, stream: bool) -> None:
    async with server(rules=[{"fault": {"kind": kind}}]) as running:
        asking = asyncio.create_task(read(http, running, stream=stream))
        recorded = await running.wait_for(1)
        assert not asking.done()
        asking.cancel()
        await asyncio.wait_for(recorded.done.wait(), 30)
    assert recorded.outcome == "client left"


@pytest.mark.parametrize("stream", [False, True])
async def test_resets_before_and_in_the_middle(http: aiohttp.ClientSession, stream: bool) -> None:
    script: dict[str, Any] = {
        "sequence": [{"fault": {"kind": "reset"}}, {"answer": "long enough", "fault": {"kind": "reset_mid_stream"}}]
    }
    async with server(**script) as running:
        with pytest.raises(aiohttp.ClientError):
            await read(http, running, stream=stream)
        seen = bytearray()
        async with post(http, running, stream=stream) as response:
            assert response.status == 200
            with pytest.raises(aiohttp.ClientError):
                await drain(response, seen)
    assert seen


async def test_broken_bodies(http: aiohttp.ClientSession) -> None:
    script = {"sequence": [{"fault": {"kind": k}} for k in ("broken_json", "malformed_sse")] * 2}
    async with server(**script) as running:
        plain = [(await read(http, running)).body for _ in range(2)]
        streamed = [(await read(http, running, stream=True)).body for _ in range(2)]
    with pytest.raises(ValueError):
        json.loads(plain[0])
    assert json.loads(plain[1]) == {"choices": "none"}
    assert streamed[0].startswith(b"data: {")
    assert b"[DONE]" not in streamed[0]
    assert b"data:" not in streamed[1]


async def test_faults_around_an_answer(http: aiohttp.ClientSession) -> None:
    script = {
        "sequence": [
            {"answer": "a", "fault": {"kind": "missing_usage"}},
            {"answer": "a", "fault": {"kind": "missing_usage"}},
            {"answer": "a", "fault": {"kind": "huge", "huge_bytes": 100_000}},
            {"answer": "a", "fault": {"kind": "slow", "delay_seconds": 0.001}},
            {"answer": "a", "usage": {"cost": ".nan"}, "model_echo": "other"},
        ]
    }
    async with server(**script) as running:
        plain = (await read(http, running)).json()
        streamed = events(await read(http, running, stream=True))
        huge = (await read(http, running)).body
        slow = events(await read(http, running, stream=True))
        last = (await read(http, running)).body
    assert "usage" not in plain
    assert all("usage" not in c for c in streamed)
    assert len(huge) > 100_000
    assert json.loads(huge)["choices"]
    assert slow[-1]["usage"]
    assert b'"model": "other"' in last


async def embed(http: aiohttp.ClientSession, url: str, body: Any) -> list[Any]:
    async with http.post(url, json=body) as response:
        return (await response.json())["data"]


async def test_embeddings_depend_on_the_words_alone(http: aiohttp.ClientSession) -> None:
    async with server() as running:
        body: dict[str, Any] = {"model": "e", "input": ["red fox", "Fox  red", "blue"], "dimensions": 16}
        url = f"{running.url}/embeddings"
        vectors = [d["embedding"] for d in await embed(http, url, body)]
        packed = (await embed(http, url, {**body, "encoding_format": "base64"}))[0]
    assert vectors[0] == vectors[1] != vectors[2]
    assert sum(x * x for x in vectors[0]) == pytest.approx(1.0)
    assert struct.unpack("<16f", base64.b64decode(packed["embedding"])) == pytest.approx(vectors[0], abs=1e-6)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"rules": [{}]}, "a rule needs one of"),
        ({"rules": [{"answer": "a", "answr": "b"}]}, "rules.0.answr"),
        ({"rules": [{"when": {"user": "("}, "answer": "a"}]}, "is not a regular expression"),
        ({"rules": [{"fault": {"kind": "missing_usage"}}]}, "a rule needs one of"),
        ({"rules": [{"fault": {"kind": "explode"}}]}, "rules.0.fault.kind"),
        ([], "script"),
    ],
)
def test_a_wrong_script_is_refused_with_its_path(data: Any, says: str) -> None:
    with pytest.raises(ScriptInvalid, match=says):
        parse_script(data)


async def test_runs_as_a_process(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    script = tmp_path / "s.yaml"
    script.write_text("rules: [{answer: from a file}]\n")
    assert load_script(script).rules[0].answer == "from a file"
    command = [sys.executable, "-m", "aspora.testing.model_server", "--script", str(script)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        url = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))["url"]
        async with http.post(f"{url}/chat/completions", json=ASK) as response:
            body = await response.json()
    finally:
        process.terminate()
        code = await asyncio.wait_for(process.wait(), 30)
    assert body["choices"][0]["message"]["content"] == "from a file"
    assert code == 0


@pytest.mark.parametrize("stdin", ["pipe", "null"])
async def test_a_process_ends_with_the_pipe_it_was_started_with(tmp_path: Path, stdin: str) -> None:
    script = tmp_path / "s.yaml"
    script.write_text("rules: [{answer: x}]\n")
    command = [sys.executable, "-m", "aspora.testing.model_server", "--script", str(script)]
    given = asyncio.subprocess.PIPE if stdin == "pipe" else asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdin=given, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 30)
        assert process.returncode is None
        if process.stdin is not None:
            process.stdin.close()
            assert await asyncio.wait_for(process.wait(), 30) == 0
    finally:
        if process.returncode is None:
            process.terminate()
            assert await process.wait() == 0


async def test_a_process_without_a_usable_script_says_so(tmp_path: Path) -> None:
    script = tmp_path / "s.yaml"
    script.write_text("rules: [{answer: [}]\n")
    command = [sys.executable, "-m", "aspora.testing.model_server", "--script", str(script)]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, err = await process.communicate()
    assert process.returncode == 2
    assert b"not YAML" in err
