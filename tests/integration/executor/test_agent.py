"""The agent loop over real HTTP: answers, tools, limits, money, cancellation, and replay from a journal."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.payers import OwnedClient, Payer

from aspora.executor.agent import AgentTask, run_agent
from aspora.executor.agent_tools import FolderFiles
from aspora.executor.failures import ExecutionFailed
from aspora.executor.journal import CallThrough, Journal
from aspora.kit.clock import SystemClock
from aspora.models.catalog import Catalog
from aspora.models.defaults import default_objects
from aspora.testing.model_server import ModelServer, parse_script

CLOCK = SystemClock()
READ = {"tool_calls": [{"name": "read", "arguments": {"path": "references/tone.md"}}]}
ANSWER = {"answer": "All done."}


@dataclass
class Bench:
    server: ModelServer
    client: OwnedClient
    task: AgentTask
    events: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    payer: Payer = field(default_factory=Payer)

    async def run(
        self, *, journal: Journal | None = None, on_text: Callable[[str], None] | None = None, **changes: Any
    ) -> dict[str, Any]:
        return await run_agent(
            replace(self.task, **changes),
            client=self.client,
            charge=self.payer.charge,
            emit=self.events.append,
            clock=CLOCK,
            journal=journal,
            on_text=on_text,
        )

    async def fails(self, **changes: Any) -> ExecutionFailed:
        with pytest.raises(ExecutionFailed) as caught:
            await self.run(**changes)
        return caught.value

    def events_of(self, type_: str) -> list[dict[str, Any]]:
        return [e for e in self.events if e["type"] == type_]


@pytest.fixture
def files(tmp_path: Path) -> FolderFiles:
    (tmp_path / "references").mkdir()
    (tmp_path / "references/tone.md").write_text("# Tone of voice\n\nBe brief.")
    (tmp_path / "secret.md").write_text("closed")
    return FolderFiles(tmp_path)


@asynccontextmanager
async def bench(
    files: FolderFiles, *sequence: Any, rules: Any = (), cap_micro_usd: int | None = None
) -> AsyncIterator[Bench]:
    async with ModelServer(parse_script({"sequence": list(sequence), "rules": list(rules)})) as server:
        made = catalog({"ASPORA_MODEL_URL": server.url})
        payer = Payer(cap_micro_usd)
        client = OwnedClient(lambda: made, payer=payer, clock=CLOCK, sleep=lambda _: asyncio.sleep(0))
        task = AgentTask(
            instructions="Summarise tickets.",
            guardrails="Never promise refunds.",
            files=files,
            models=("claude-sonnet-4-5", "gpt-4o-mini"),
            user_message="please summarise",
            deadline_seconds=20,
        )
        try:
            yield Bench(server, client, task, payer=payer)
        finally:
            await client.close()


def catalog(environment: dict[str, str]) -> Catalog:
    objects = default_objects()
    return Catalog(
        [o for o in objects if o["kind"] == "Model"],
        [o for o in objects if o["kind"] == "Provider"],
        environment=environment,
    )


async def test_an_answer_becomes_a_result_and_each_call_an_event(files: FolderFiles) -> None:
    usage = {"prompt_tokens": 90, "completion_tokens": 9, "cost": "0.000405"}
    async with bench(files, {**ANSWER, "usage": usage}) as b:
        result = await b.run(metadata={"ticket": "T-1"})
        body = b.server.completions[0].body
    assert result == {"success": True, "message": "All done.", "data": {}, "confidence": None}
    system, user = body["messages"]
    assert system["role"] == "system"
    assert "Summarise tickets." in system["content"]
    assert "Never promise refunds." in system["content"]
    assert "- references/tone.md: Tone of voice" in system["content"]
    assert "Be brief" not in system["content"]
    assert user["content"].startswith("please summarise\n")
    assert '"ticket": "T-1"' in user["content"]
    (event,) = b.events
    duration = event.pop("duration_ms")
    assert duration >= 0
    assert event == {
        "type": "ModelCall", "step": 1, "alias": "claude-sonnet-4-5", "provider": "custom",
        "upstream": "anthropic/claude-sonnet-4.5", "attempt": 1, "outcome": "ok", "input_tokens": 90,
        "output_tokens": 9, "cached_input_tokens": 0, "reasoning_tokens": 0, "cost_micro_usd": 405,
        "cost_source": "upstream",
    }  # fmt: skip
    assert b.payer.spent_micro_usd == 405


async def test_reads_a_reference_and_answers_from_it(files: FolderFiles) -> None:
    rules = [
        {"when": {"tool": "Be (?P<how>\\w+)"}, "answer_json": {"message": "It is ${how}.", "confidence": 0.9}},
        READ,
    ]
    async with bench(files, rules=rules) as b:
        result = await b.run()
    assert result == {"success": True, "message": "It is brief.", "data": {}, "confidence": 0.9}
    assert [(e["type"], e.get("name"), e.get("ok")) for e in b.events] == [
        ("ModelCall", None, None),
        ("ToolCall", "read", True),
        ("ModelCall", None, None),
    ]


async def test_streams_text_as_it_arrives(files: FolderFiles) -> None:
    texts: list[str] = []
    async with bench(files, READ, ANSWER) as b:
        result = await b.run(on_text=texts.append)
        assert all(r.body["stream"] for r in b.server.completions)
    assert "".join(texts) == result["message"] == "All done."
    assert len(texts) > 1


async def test_wrong_arguments_are_answered_and_can_be_corrected(files: FolderFiles) -> None:
    wrong = {"tool_calls": [{"name": "read", "arguments": "{oops"}, {"name": "read", "arguments": {"file": "x"}}]}
    async with bench(files, wrong, READ, ANSWER) as b:
        await b.run()
        told = [m["content"] for m in b.server.completions[1].body["messages"] if m["role"] == "tool"]
    assert "not JSON" in told[0]
    assert "arguments.path: is required" in told[1]
    assert [e["ok"] for e in b.events_of("ToolCall")] == [False, False, True]


async def test_tools_that_are_not_permitted_do_not_exist(files: FolderFiles) -> None:
    calls = [
        {"name": "write", "arguments": {"path": "x"}},
        {"name": "read", "arguments": {"path": "secret.md"}},
    ]
    async with bench(files, {"tool_calls": calls}, ANSWER) as b:
        await b.run()
        first, second = (r.body for r in b.server.completions)
    assert [t["function"]["name"] for t in first["tools"]] == ["read"]
    told = [m["content"] for m in second["messages"] if m["role"] == "tool"]
    assert "Unknown tool name: 'write'" in told[0]
    assert "no readable file 'secret.md'" in told[1]
    assert "closed" not in str(second)
    assert [(e["name"], e["ok"]) for e in b.events_of("ToolCall")] == [("write", False), ("read", False)]


async def test_a_blocked_skill_has_no_tools_at_all(files: FolderFiles) -> None:
    async with bench(files, ANSWER) as b:
        await b.run(blocked_resources=("references",))
        body = b.server.completions[0].body
    assert "tools" not in body
    assert "tone.md" not in str(body)


async def test_stops_at_max_steps(files: FolderFiles) -> None:
    steps = [
        {"tool_calls": [{"name": "read", "arguments": {"path": "references/tone.md", "offset": i}}]} for i in range(3)
    ]
    async with bench(files, *steps) as b:
        failure = await b.fails(max_steps=3)
        sent = len(b.server.completions)
    assert failure.reason == "MaxStepsExceeded"
    assert "3 model requests" in failure.message
    assert sent == 3


async def test_stops_on_the_third_identical_call(files: FolderFiles) -> None:
    respelled = {"tool_calls": [{"name": "read", "arguments": '{ "path":"references/tone.md" }'}]}
    async with bench(files, READ, respelled, READ, rules=[ANSWER]) as b:
        failure = await b.fails()
        sent = len(b.server.completions)
    assert failure.reason == "LoopDetected"
    assert "'read' 3 times" in failure.message
    assert sent == 3
    assert len(b.events_of("ToolCall")) == 2


async def test_calls_of_a_tool_that_does_not_exist_are_a_loop_too(files: FolderFiles) -> None:
    async with bench(files, rules=[{"tool_calls": [{"name": "nope"}]}]) as b:
        failure = await b.fails()
    assert failure.reason == "LoopDetected"


async def test_the_cap_stops_the_next_request(files: FolderFiles) -> None:
    expensive = {**READ, "usage": {"prompt_tokens": 100, "completion_tokens": 10, "cost": "0.05"}}
    async with bench(files, expensive, rules=[ANSWER], cap_micro_usd=100_000) as b:
        failure = await b.fails()
        sent = len(b.server.completions)
    assert failure.reason == "BudgetExceeded"
    assert "spent $0.05 of the cap of $0.10" in failure.message
    assert "could cost up to" in failure.message
    assert sent == 1
    assert b.payer.spent_micro_usd == 50_000


async def test_falls_back_and_the_trace_shows_every_attempt(files: FolderFiles) -> None:
    async with bench(files, *[{"fault": {"kind": "server_error"}}] * 3, ANSWER) as b:
        await b.run()
    assert [(e["alias"], e["attempt"], e["outcome"]) for e in b.events] == [
        ("claude-sonnet-4-5", 1, "server_error"),
        ("claude-sonnet-4-5", 2, "server_error"),
        ("claude-sonnet-4-5", 3, "server_error"),
        ("gpt-4o-mini", 1, "ok"),
    ]


@pytest.mark.parametrize(
    ("rule", "reason", "says"),
    [
        ({"fault": {"kind": "rejected"}}, "ModelRejected", "status 400"),
        ({"fault": {"kind": "unauthorized"}}, "ModelUnavailable", "status 401"),
        ({"fault": {"kind": "bad_gateway_html"}}, "ModelUnavailable", "status 502"),
        ({"fault": {"kind": "broken_json"}}, "ModelUnavailable", "no JSON"),
        ({"answer": ""}, "ModelUnavailable", "empty answer"),
        ({"answer": "", "finish_reason": "content_filter"}, "ModelRejected", "content filter"),
        ({"answer": "", "finish_reason": "length"}, "ModelRejected", "raise model.max_tokens"),
    ],
)
async def test_failures_have_a_reason(files: FolderFiles, rule: Any, reason: str, says: str) -> None:
    async with bench(files, rules=[rule]) as b:
        failure = await b.fails()
    assert failure.reason == reason
    assert says in failure.message


async def test_a_cut_answer_is_marked(files: FolderFiles) -> None:
    async with bench(files, {"answer": "It is abou", "finish_reason": "length"}) as b:
        result = await b.run()
    assert (result["message"], result["data"]) == ("It is abou", {"truncated": True})


async def test_without_an_endpoint_it_says_what_to_set(files: FolderFiles) -> None:
    client = OwnedClient(lambda: catalog({}), clock=CLOCK)
    async with bench(files) as b:
        b.client = client
        failure = await b.fails()
    assert failure.reason == "ModelNotConfigured"
    assert "set OPENROUTER_API_KEY, or ASPORA_MODEL_URL" in failure.message
    assert b.events == []


async def test_the_deadline_ends_a_run_and_closes_its_socket(files: FolderFiles) -> None:
    async with bench(files, READ, rules=[{"fault": {"kind": "hang_before_headers"}}]) as b:
        failure = await b.fails(deadline_seconds=0.5)
        recorded = await b.server.wait_for(2)
        await asyncio.wait_for(recorded.done.wait(), 30)
    assert failure.reason == "TimedOut"
    assert recorded.outcome == "client left"
    assert b.events[-1]["outcome"] in {"timeout", "cancelled"}


async def test_cancelling_a_run_closes_its_socket(files: FolderFiles) -> None:
    async with bench(files, READ, rules=[{"fault": {"kind": "hang_after_headers"}}]) as b:
        running = asyncio.create_task(b.run())
        recorded = await b.server.wait_for(2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await asyncio.wait_for(recorded.done.wait(), 30)
    assert recorded.outcome == "client left"
    assert b.events[-1]["outcome"] == "cancelled"


class MemoryJournal:
    """Keeps what steps returned; dies before the step named `crash_at`."""

    def __init__(self, kept: dict[str, dict[str, Any]] | None = None, *, crash_at: str | None = None) -> None:
        self.kept = kept if kept is not None else {}
        self._crash_at = crash_at

    async def step(self, key: str, run: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        if key == self._crash_at:
            raise RuntimeError("the process dies here")
        if key not in self.kept:
            self.kept[key] = await run()
        return self.kept[key]


async def test_a_replay_repeats_no_finished_step_and_keeps_the_money(files: FolderFiles) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 1, "cost": "0.01"}
    async with bench(files, {**READ, "usage": usage}, {**ANSWER, "usage": usage}) as b:
        first = MemoryJournal(crash_at="model:2")
        with pytest.raises(RuntimeError, match="dies here"):
            await b.run(journal=first)
        assert list(first.kept) == ["model:1", "tool:1:read"]
        result = await b.run(journal=MemoryJournal(first.kept))
        sent = len(b.server.completions)
    assert result["message"] == "All done."
    assert sent == 2
    assert b.payer.spent_micro_usd == 20_000
    assert [e["type"] for e in b.events] == ["ModelCall", "ToolCall", "ModelCall"]


async def test_parallel_calls_run_one_by_one_in_the_model_s_order(files: FolderFiles) -> None:
    both = {"tool_calls": [{"name": "read", "arguments": {"path": "references/tone.md", "offset": i}} for i in (2, 1)]}
    order: list[str] = []

    class Watching(CallThrough):
        async def step(self, key: str, run: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
            order.append(f"begin {key}")
            await asyncio.sleep(0)
            outcome = await run()
            order.append(f"end {key}")
            return outcome

    async with bench(files, both, ANSWER) as b:
        await b.run(journal=Watching())
    steps = ["model:1", "tool:1:read", "tool:2:read", "model:2"]
    assert order == [f"{edge} {step}" for step in steps for edge in ("begin", "end")]


async def test_neither_prompts_nor_answers_are_in_the_trace(files: FolderFiles) -> None:
    async with bench(files, READ, {"fault": {"kind": "server_error"}}, ANSWER) as b:
        await b.run(user_message="very private words")
    trace = str(b.events)
    assert "private" not in trace
    assert "All done" not in trace
    assert "Be brief" not in trace
