"""Run a skill's handler in the test's own process, with the imports and working directory of a real job."""

from __future__ import annotations

import importlib
import json
import os
import re
import sys

from aspora_sdk.cases import SkillTestCase
from aspora_sdk.context import SkillContext, SkillInput
from aspora_sdk.errors import CapabilityError, HandlerLoadError
from aspora_sdk.isolation import JobImports
from aspora_sdk.loading import load_handler, resolve_entry_point
from aspora_sdk.result import SkillResult
from aspora_sdk.running import run_handler
from aspora_sdk.values import Value, json_problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
    from types import ModuleType
    from typing import Any

    from aspora_sdk.link import Call

ROOT_VARIABLE = "ASPORA_SKILLS_ROOT"


class LogLine(Value):
    """One line that a handler logged."""

    __slots__ = ("fields", "level", "message")

    level: str
    message: str
    fields: dict[str, Any]

    def __init__(self, level: str, message: str, fields: dict[str, Any]) -> None:
        self._assign(level=level, message=message, fields=fields)


class LocalLink:
    """Answers a handler's calls without a host: `tools.read` from the skill's folder, others from given functions."""

    def __init__(self, folder: str, capabilities: Mapping[str, Callable[..., Any]], logs: list[LogLine]) -> None:
        self.unsent: dict[int, Call] = {}
        self._folder = folder
        self._capabilities = {"tools.read": self._read, **capabilities}
        self._logs = logs

    def request(self, method: str, params: dict[str, Any]) -> Any:
        """Answer from the given functions, through JSON as on the wire."""
        if method not in self._capabilities:
            known = ", ".join(sorted(self._capabilities))
            raise CapabilityError(
                "MethodNotAllowed",
                f"nothing answers it here; pass load_skill(…, capabilities=…); known: {known}",
                method=method,
            )
        return _copied(self._capabilities[method](**_copied(params)))

    def steps(self, method: str, params: dict[str, Any]) -> Generator[Any, Any, Any]:
        """Answer at once; an await never has to wait here."""
        yield from ()
        return self.request(method, params)

    def notify(self, method: str, params: dict[str, Any]) -> None:
        """Keep the log line."""
        self._logs.append(LogLine(**_copied(params)))

    async def serve(self, awaitable: Awaitable[Any]) -> Any:
        """Await it; there is no wire to watch."""
        return await awaitable

    def _read(self, path: str) -> str:
        full = os.path.realpath(os.path.join(self._folder, path))
        if not full.startswith(self._folder + os.sep):
            raise CapabilityError("Forbidden", f"{path!r} is outside the skill's folder", method="tools.read")
        if not os.path.isfile(full):
            raise CapabilityError("NotFound", f"{path!r} is not a file of the skill", method="tools.read")
        with open(full, "rb") as file:
            raw = file.read()
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise CapabilityError("Invalid", f"{path!r} is not UTF-8 text", method="tools.read") from None


def _copied(value: Any) -> Any:
    return json.loads(json.dumps(value, allow_nan=False))


class LoadedSkill:
    """A skill whose handler is loaded.

    Attributes:
        id: `domain/skill`.
        folder: The skill's folder.
        logs: What the latest `execute` logged.
    """

    def __init__(
        self,
        skill_id: str,
        folder: str,
        *,
        entry_point: str,
        config: Mapping[str, Any],
        capabilities: Mapping[str, Callable[..., Any]],
    ) -> None:
        self.id = skill_id
        self.folder = folder
        self.logs: list[LogLine] = []
        self._config = dict(config)
        self._capabilities = capabilities
        path = resolve_entry_point(folder, entry_point)
        self._imports = JobImports(folder, os.path.dirname(path))
        with self._imports:
            self._handler = load_handler(path)

    def execute(
        self, given: SkillInput | SkillTestCase | Mapping[str, Any] | str = "", /, **metadata: Any
    ) -> SkillResult:
        """Run the handler once, to its end. Call it from a plain `def` test.

        Args:
            given: A user's message; an object with `user_message`, `user_id`, `domain`, `metadata`; or a test case.
            metadata: Further metadata, laid over that of `given`.

        Raises:
            InvalidResultError: As a real job would end with.
            Exception: What the handler raises.
        """
        if _loop_is_running():
            raise RuntimeError(
                "execute() runs the handler to its end: call it from a plain def, or through asyncio.to_thread"
            )
        asked = _input(given, metadata)
        domain, _, name = self.id.partition("/")
        self.logs = []
        link = LocalLink(self.folder, self._capabilities, self.logs)
        wire = {
            "execution_id": "EXEC-local",
            "skill": name,
            "domain": domain,
            "revision": "local",
            "config": _copied(self._config),
            "input": {field: getattr(asked, field) for field in SkillInput.__slots__},
        }
        with self._imports:
            return SkillResult(**_copied(run_handler(self._handler, SkillContext(wire, link=link), link)))

    def module(self, name: str) -> ModuleType:
        """Import a module as the handler would (`shared.money`, a file beside the entry point), to test it alone."""
        with self._imports:
            return importlib.import_module(name)


def _loop_is_running() -> bool:
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _input(given: SkillInput | SkillTestCase | Mapping[str, Any] | str, metadata: dict[str, Any]) -> SkillInput:
    if isinstance(given, SkillTestCase):
        given = given.input
    if isinstance(given, SkillInput):
        given = {name: getattr(given, name) for name in SkillInput.__slots__}
    fields: dict[str, Any] = {"user_message": given} if isinstance(given, str) else dict(given)
    if unknown := sorted(set(fields) - set(SkillInput.__slots__)):
        known = ", ".join(SkillInput.__slots__)
        raise ValueError(
            f"unknown input field {unknown[0]!r}; known: {known} (arguments of the skill go into metadata)"
        )
    fields["metadata"] = {**(fields.get("metadata") or {}), **metadata}
    if problem := json_problem(fields, "input"):
        raise ValueError(problem)
    return SkillInput(**_copied(fields))


def load_skill(
    skill_id: str,
    *,
    root: str | os.PathLike[str] | None = None,
    entry_point: str = "code/handler.py",
    config: Mapping[str, Any] | None = None,
    capabilities: Mapping[str, Callable[..., Any]] | None = None,
) -> LoadedSkill:
    """Load a skill's handler for tests. Each call loads it anew; skills do not see each other's modules.

    Args:
        skill_id: `domain/skill`.
        root: The folder that holds the domains. Default: `ASPORA_SKILLS_ROOT`, else the nearest `skills/` folder, or
            the folder of domains around the working directory, that has the skill.
        entry_point: The handler's file in the skill's folder.
        config: What `context.config` holds.
        capabilities: Functions that answer host calls, by method (`apis.trm.check_transaction`), called with the
            call's arguments.

    Raises:
        HandlerLoadError: No such skill, or no handler in it.
    """
    if not re.fullmatch(r"[a-z0-9-]+/[a-z0-9-]+", skill_id):
        raise HandlerLoadError(f"{skill_id!r} is not a skill's id; write domain/skill")
    roots = [str(root)] if root is not None else list(_candidate_roots(os.environ.get(ROOT_VARIABLE), os.getcwd()))
    for candidate in roots:
        folder = os.path.realpath(os.path.join(candidate, skill_id))
        if os.path.isfile(os.path.join(folder, "SKILL.md")):
            return LoadedSkill(
                skill_id, folder, entry_point=entry_point, config=config or {}, capabilities=capabilities or {}
            )
    looked = ", ".join(roots) or "nowhere: no skills folder above the working directory"
    raise HandlerLoadError(
        f"no skill {skill_id!r} (a folder with SKILL.md); looked in {looked}; pass root= or set {ROOT_VARIABLE}"
    )


def _candidate_roots(variable: str | None, start: str) -> Iterator[str]:
    if variable:
        yield variable
        return
    here = os.path.realpath(start)
    while True:
        parent = os.path.dirname(here)
        if os.path.isdir(os.path.join(here, "skills")):
            yield os.path.join(here, "skills")
        if os.path.isfile(os.path.join(here, "DOMAIN.md")):
            yield parent
        elif os.path.isfile(os.path.join(here, "SKILL.md")):
            yield os.path.dirname(parent)
        if parent == here:
            return
        here = parent
