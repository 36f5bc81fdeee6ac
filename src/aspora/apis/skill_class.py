"""Inline or durable: which class an execution of a skill belongs to, decided from its settings alone."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

INLINE_SECONDS = 30
READ_TOOLS = frozenset({"read"})


class ExecutionClass(NamedTuple):
    """The class and the reason, in words for `describe`."""

    name: Literal["inline", "durable"]
    why: str


def execution_class(spec: Mapping[str, Any]) -> ExecutionClass:
    """The class of a skill's executions when a caller waits for the answer; with nobody waiting they are durable.

    An author can raise the class with `runtime.durable`, never lower it.

    Args:
        spec: A Skill's spec in wire form; what is left out has its default.
    """
    runtime: Mapping[str, Any] = spec.get("runtime", {})
    if not runtime.get("entryPoint"):
        return ExecutionClass("durable", "it runs the agent loop over SKILL.md")
    if writing := _writing(spec.get("permissions", {})):
        return ExecutionClass("durable", f"it may write through {', '.join(writing)}")
    timeout_seconds: int = runtime.get("timeoutSeconds", INLINE_SECONDS)
    if timeout_seconds > INLINE_SECONDS:
        return ExecutionClass("durable", f"it may take {timeout_seconds} s, more than {INLINE_SECONDS} s")
    if runtime.get("durable", False):
        return ExecutionClass("durable", "its author asks for it")
    return ExecutionClass("inline", f"its handler only reads and ends within {timeout_seconds} s")


def _writing(permissions: Mapping[str, Any]) -> list[str]:
    """Everything permitted that may change something."""
    connectors: Sequence[Mapping[str, Any]] = [*permissions.get("apis", []), *permissions.get("mcp", [])]
    tools = [t for t in permissions.get("tools", []) if t not in READ_TOOLS]
    return [*tools, *(str(c["name"]) for c in connectors if c.get("access", "write") == "write")]
