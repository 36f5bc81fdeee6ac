"""What would happen if a skill were run: class, handler, revision, model, tools, limits. Nothing is executed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aspora.apis.skill_class import execution_class
from aspora.meta.quantities import format_usd

Wire = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """A run that has not begun.

    Attributes:
        skill: `domain/name`.
        revision: Its name, and how it was chosen if that needs saying.
        digest: Of the revision's content.
        spec: The skill's spec in wire form, defaults written out.
        place: Where a handler would run.
        model_problem: Why no model could be asked, with what would do; "" when one could, or nobody knows here.
        recorded: Whether the run would be.
    """

    skill: str
    revision: str
    digest: str
    spec: Wire
    place: str
    model_problem: str = ""
    recorded: bool = True

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "skill": self.skill,
            "revision": self.revision,
            "digest": self.digest,
            "recorded": self.recorded,
            "plan": dict(self.rows()),
        }

    def rows(self) -> Iterator[tuple[str, str]]:
        """For people."""
        runtime, artifact = self.spec["runtime"], self.spec["artifact"]
        chosen = execution_class(self.spec)
        yield "Skill", self.skill
        yield "Revision", self.revision
        yield "Digest", self.digest
        yield "Artifact", f"{artifact['digest']} ({artifact['fileCount']} files, {artifact['sizeBytes']} bytes)"
        yield "Class", f"{chosen.name}: {chosen.why}"
        if runtime.get("entryPoint"):
            yield "Runs", f"{runtime['entryPoint']} ({runtime['language']}) in {self.place}"
        else:
            yield "Runs", "the agent loop over SKILL.md"
            yield from self._model_rows()
        yield "Tools", ", ".join(self.spec["permissions"].get("tools", [])) or "none"
        yield "Limits", _limits(runtime)
        yield "Recorded", "yes" if self.recorded else "no"

    def _model_rows(self) -> Iterator[tuple[str, str]]:
        model = self.spec["model"]
        fallback = f", then {model['fallback']}" if model.get("fallback") else ""
        yield (
            "Model",
            f"{model['primary'] or 'chosen by routing'}{fallback}, at most {model['maxOutputTokens']} tokens an answer",
        )
        yield "Spends", f"at most {format_usd(model['costBudget']['maxPerExecutionMicroUsd'])}"
        if self.model_problem:
            yield "Missing", self.model_problem


def _limits(runtime: Wire) -> str:
    memory_mb, cpu = runtime["memoryBytes"] / 1_000_000, runtime["cpuMillis"] / 1000
    return f"{runtime['timeoutSeconds']} s, {memory_mb:g} MB, {cpu:g} cpu"
