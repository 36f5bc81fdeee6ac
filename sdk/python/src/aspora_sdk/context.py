"""What a handler is given: its input, its settings, and capabilities that are calls to the host."""

from __future__ import annotations

import time

from aspora_sdk.link import Call
from aspora_sdk.values import Value, json_problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from aspora_sdk.link import Link


class SkillInput(Value):
    """What was asked.

    Args:
        user_message: The user's own words; may be empty when `metadata` says all.
        user_id: Who asked; empty when nobody did (a schedule, an alert).
        domain: The domain the request was made in.
        metadata: Arguments: a JSON object.
    """

    __slots__ = ("domain", "metadata", "user_id", "user_message")

    user_message: str
    user_id: str
    domain: str
    metadata: dict[str, Any]

    def __init__(
        self,
        user_message: str = "",
        user_id: str = "",
        domain: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self._assign(user_message=user_message, user_id=user_id, domain=domain, metadata=dict(metadata or {}))


class Operation:
    """One operation of the host, called with keyword arguments."""

    __slots__ = ("_link", "_method")

    def __init__(self, link: Link, method: str) -> None:
        self._link = link
        self._method = method

    def __call__(self, **arguments: Any) -> Call:
        """Make the call; `await` it, or `.wait()` for it."""
        return Call(self._link, self._method, arguments)


class Operations:
    """A family of operations by attribute, `family.operation(…)`; by key where Python cannot spell the name."""

    __slots__ = ("_link", "_prefix")

    def __init__(self, link: Link, prefix: str) -> None:
        self._link = link
        self._prefix = prefix

    def __getattr__(self, name: str) -> Operation:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Operation:
        return Operation(self._link, f"{self._prefix}.{name}")


class Tools(Operations):
    """The host's tools; which ones a skill may use is `permissions.tools` in its config."""

    __slots__ = ()

    def read(self, path: str) -> Call:
        """The text of a file of the skill, by its path in the skill's folder.

        The call fails with reason `NotFound`, `Forbidden` (outside the folder, or the tool is not permitted) or
        `Invalid` (not UTF-8 text).
        """
        return Call(self._link, f"{self._prefix}.read", {"path": path})


class Apis:
    """The connectors, `context.apis.<connector>.<operation>(…)`; by key where Python cannot spell the name."""

    __slots__ = ("_link",)

    def __init__(self, link: Link) -> None:
        self._link = link

    def __getattr__(self, name: str) -> Operations:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Operations:
        return Operations(self._link, f"apis.{name}")


class Log:
    """Lines in the execution's log: a constant message plus fields. Nothing to await, and never an error."""

    __slots__ = ("_link",)

    def __init__(self, link: Link) -> None:
        self._link = link

    def debug(self, message: str, /, **fields: Any) -> None:
        """What only the author needs."""
        self._write("debug", message, fields)

    def info(self, message: str, /, **fields: Any) -> None:
        """What happened."""
        self._write("info", message, fields)

    def warning(self, message: str, /, **fields: Any) -> None:
        """What somebody should look at."""
        self._write("warning", message, fields)

    def error(self, message: str, /, **fields: Any) -> None:
        """What failed."""
        self._write("error", message, fields)

    def _write(self, level: str, message: str, fields: dict[str, Any]) -> None:
        safe = {_text(name): repr(value) if json_problem(value, name) else value for name, value in fields.items()}
        self._link.notify("log", {"level": level, "message": _text(str(message)), "fields": safe})


def _text(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode()


class SkillContext(Value):
    """All that a handler knows and may do.

    Attributes:
        execution_id: The execution's id, `EXEC-…`.
        skill: The skill's name in its domain.
        domain: The skill's domain.
        revision: The revision that runs.
        input: What was asked.
        config: The skill's own settings: a JSON object.
        tools: Tools of the host, `tools.read` among them.
        apis: Connectors.
        models: Model calls, `models.generate(…)`.
        memory: Memory, `memory.recall(…)`.
        log: The execution's log.
    """

    __slots__ = (
        "_deadline",
        "_monotonic",
        "apis",
        "config",
        "domain",
        "execution_id",
        "input",
        "log",
        "memory",
        "models",
        "revision",
        "skill",
        "tools",
    )

    execution_id: str
    skill: str
    domain: str
    revision: str
    input: SkillInput
    config: dict[str, Any]
    tools: Tools
    apis: Apis
    models: Operations
    memory: Operations
    log: Log
    _deadline: float
    _monotonic: Callable[[], float]

    def __init__(self, wire: Mapping[str, Any], *, link: Link, monotonic: Callable[[], float] = time.monotonic) -> None:
        given = wire.get("input") or {}
        self._assign(
            execution_id=wire.get("execution_id", ""),
            skill=wire.get("skill", ""),
            domain=wire.get("domain", ""),
            revision=wire.get("revision", ""),
            input=SkillInput(**{name: given[name] for name in SkillInput.__slots__ if name in given}),
            config=wire.get("config") or {},
            tools=Tools(link, "tools"),
            apis=Apis(link),
            models=Operations(link, "models"),
            memory=Operations(link, "memory"),
            log=Log(link),
            _deadline=monotonic() + float(wire.get("deadline_seconds", float("inf"))),
            _monotonic=monotonic,
        )

    def remaining_seconds(self) -> float:
        """Seconds until the host stops the job; infinite when it set no deadline; negative when it is late already."""
        return self._deadline - self._monotonic()
