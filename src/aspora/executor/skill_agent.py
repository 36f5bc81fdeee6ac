"""Runs a skill that is Markdown alone: SKILL.md as instructions for the agent loop.

The loop is loaded by name, in a thread, when it is first needed: its library takes seconds to import.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from pydantic.alias_generators import to_camel

from aspora.executor.agent_tools import FolderFiles
from aspora.executor.failures import ExecutionFailed
from aspora.executor.interface import Blobs, ModelCallBook
from aspora.executor.model_records import RecordedModels
from aspora.executor.results import Given, keep_result
from aspora.executor.work import ModelTerms, Work
from aspora.kit.clock import Clock
from aspora.kit.registry import load_object
from aspora.models.interface import ModelClient

AGENT_MODULE: Final = "aspora.executor.agent"
DRIVER: Final = "agent"
_GUARDRAIL_FILES: Final = ("domain/GUARDRAILS.md", "GUARDRAILS.md")
_FRONT_MATTER = re.compile(r"\A\ufeff?---[ \t]*\r?\n.*?^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)


class AgentWorker:
    """The worker for skills that have no handler.

    Args:
        models: Answers.
        book: Keeps a row of each model call.
        blobs: Takes large results.
        clock: For durations.
        terms_for: Says which models an attempt asks, and who pays.
        load: Loads the agent loop by name.
    """

    def __init__(
        self,
        *,
        models: ModelClient,
        book: ModelCallBook,
        blobs: Blobs,
        clock: Clock,
        terms_for: Callable[[Work], ModelTerms],
        load: Callable[[str], Any] = load_object,
    ) -> None:
        self._models = models
        self._book = book
        self._blobs = blobs
        self._clock = clock
        self._terms_for = terms_for
        self._load = load

    async def preload(self) -> None:
        """Import what is slow, so that the first run does not wait for it."""
        await asyncio.to_thread(self._load, AGENT_MODULE)

    async def __call__(self, work: Work) -> Given:
        """Run the loop; each model request and tool call is a step of the journal."""
        agent = await asyncio.to_thread(self._load, AGENT_MODULE)
        terms = self._terms_for(work)
        with work.trace.stage("model"):
            result: Mapping[str, Any] = await agent.run_agent(
                await asyncio.to_thread(agent_task, work, terms.models, agent.AgentTask),
                client=RecordedModels(self._models, self._book, work.claim, self._clock),
                charge=terms.charge,
                emit=partial(_emit, work),
                clock=self._clock,
                journal=work.journal,
            )
        return await keep_result(result, blobs=self._blobs, driver=DRIVER)


def agent_task(work: Work, models: tuple[str, ...], make: Callable[..., Any]) -> Any:
    """What the agent loop is told."""
    model = work.plan.spec.model
    return make(
        instructions=skill_instructions(work.folder),
        guardrails=_guardrails(work.folder),
        files=FolderFiles(work.folder),
        models=models,
        user_message=str(work.input.get("userMessage") or ""),
        metadata=work.input.get("metadata") or {},
        permitted_tools=work.plan.tools,
        blocked_resources=tuple(work.plan.spec.permissions.blocked_resources),
        temperature_milli=model.temperature_milli,
        max_output_tokens=model.max_output_tokens,
        deadline_seconds=work.timeout_seconds,
    )


def skill_instructions(folder: Path) -> str:
    """SKILL.md without its front matter."""
    return _FRONT_MATTER.sub("", _text(folder, "SKILL.md"), count=1)


def _guardrails(folder: Path) -> str:
    """The domain's rules, then the skill's own."""
    return "\n\n".join(_text(folder, name) for name in _GUARDRAIL_FILES if (folder / name).is_file())


def _text(folder: Path, name: str) -> str:
    """One text of the artifact; admission lets only sound ones in, but a Revision may be older than that rule."""
    try:
        return (folder / name).read_text("utf-8")
    except OSError as error:
        raise ExecutionFailed(
            "ArtifactUnfit",
            f"the skill's artifact has no readable {name!r} ({error.strerror}); "
            "mend the skill's folder and apply it again",
        ) from None
    except UnicodeDecodeError as error:
        raise ExecutionFailed(
            "ArtifactUnfit",
            f"{name!r} in the skill's artifact is not UTF-8 (byte {error.start}); save it as UTF-8 and apply it again",
        ) from None


def _emit(work: Work, event: Mapping[str, Any]) -> None:
    data = {to_camel(key): value for key, value in event.items() if key != "type" and value is not None}
    work.trace.emit(str(event["type"]), **data)
