"""The demo's script with the real skill: it opens the reference the skill names, and quotes, never invents."""

from pathlib import Path
from typing import Any

import pytest
from tests.payers import OwnedClient, Payer

from aspora.executor.agent import AgentTask, run_agent
from aspora.executor.agent_tools import FolderFiles
from aspora.kit.clock import SystemClock
from aspora.models.catalog import Catalog
from aspora.models.defaults import default_objects
from aspora.testing.model_server import ModelServer, load_script

ROOT = Path(__file__).parents[3]
SKILL = ROOT / "skills/support/summarise-ticket"
SCRIPT = ROOT / "src/aspora/testing/scripts/demo.yaml"


async def summarise(user_message: str, metadata: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """The skill's answer to a message, and the run's events."""
    clock, events, objects = SystemClock(), list[dict[str, Any]](), default_objects()
    async with ModelServer(load_script(SCRIPT)) as server:
        made = Catalog(
            [o for o in objects if o["kind"] == "Model"],
            [o for o in objects if o["kind"] == "Provider"],
            environment={"ASPORA_MODEL_URL": server.url},
        )
        payer = Payer(1_000_000)
        client = OwnedClient(lambda: made, payer=payer, clock=clock)
        task = AgentTask(
            instructions=(SKILL / "SKILL.md").read_text().split("---", 2)[2],
            guardrails=(SKILL.parent / "GUARDRAILS.md").read_text(),
            files=FolderFiles(SKILL),
            models=("claude-sonnet-4-5",),
            user_message=user_message,
            metadata=metadata,
            deadline_seconds=20,
        )
        result = await run_agent(task, client=client, charge=payer.charge, emit=events.append, clock=clock)
        await client.close()
    return result["message"], events


def ticket(name: str) -> str:
    return (SKILL / "evals/files" / name).read_text()


@pytest.mark.parametrize("in_metadata", [False, True])
@pytest.mark.parametrize(
    ("name", "reported", "said"),
    [
        ("reopened.md", "The payout of 1,240.50 EUR from 27 February has not arrived.", "Our system shows PO-88213"),
        ("two_problems.md", "1) I was charged twice for January", "I can confirm both charges."),
        ("injected.md", "the app crashes when I open", "Thank you, I can reproduce it on 4.2.1."),
    ],
)
async def test_a_ticket_is_quoted_after_reading_the_urgency_table(
    name: str, reported: str, said: str, in_metadata: bool
) -> None:
    message = ("Summarise this ticket.", {"ticket": ticket(name)}) if in_metadata else (ticket(name), {})
    note, events = await summarise(*message)
    assert reported in note
    assert said in note
    assert "scripted" in note
    assert "DE00" not in note
    assert [(e["type"], e.get("ok")) for e in events] == [("ModelCall", None), ("ToolCall", True), ("ModelCall", None)]


@pytest.mark.parametrize(
    ("message", "says"),
    [("Customer: login broken", '"login broken"'), ("Summarise this ticket", "Please paste the ticket")],
)
async def test_short_messages_get_short_answers(message: str, says: str) -> None:
    note, events = await summarise(message, {})
    assert says in note
    assert "scripted" in note
    assert len(events) == 1
