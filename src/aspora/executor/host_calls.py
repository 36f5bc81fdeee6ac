"""The host's side of a handler's capabilities: permission first, then the call, then an event with its time."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

from aspora.executor.blocked import is_blocked
from aspora.executor.effect_calls import AttemptEffects
from aspora.executor.failures import ExecutionFailed
from aspora.executor.interface import Superseded
from aspora.executor.trace import Trace
from aspora.kit.clock import Clock
from aspora.meta.errors import Conflict, Forbidden, Invalid, MethodNotAllowed, NotFound, StatusError, TooLarge
from aspora.meta.names import did_you_mean
from aspora.sandbox.interface import Json

MAX_READ_BYTES: Final = 1024 * 1024
APIS: Final = "apis."
_MAX_LOG_CHARACTERS = 8192
_MAX_SHOWN_CHARACTERS = 200


class HostCalls:
    """Answers the calls of one run of a handler.

    Args:
        folder: The skill's files.
        tools: Tools that the skill is permitted to use.
        blocked: Its `permissions.blocked_resources`: files that no tool gives out.
        effects: Makes connector calls; None where there are no connectors.
        end_run: Ends the run: after a call that must be the last.

    Attributes:
        last: Why the run must end, whatever the handler made of it; None while it need not.
    """

    def __init__(
        self,
        *,
        folder: Path,
        tools: Collection[str],
        blocked: Sequence[str],
        effects: AttemptEffects | None,
        end_run: Callable[[], Awaitable[object]],
        trace: Trace,
        clock: Clock,
    ) -> None:
        self.last: ExecutionFailed | Superseded | None = None
        self._effects = effects
        self._end_run = end_run
        self._folder = folder
        self._tools = tools
        self._blocked = blocked
        self._trace = trace
        self._clock = clock
        self._methods: Mapping[str, Callable[[Mapping[str, Json]], Awaitable[Json]]] = {"tools.read": self._read}

    async def call(self, method: str, params: Mapping[str, Json]) -> Json:
        """Answer one capability call; see `aspora.sandbox.interface.HostCalls`."""
        begin = self._clock.monotonic()
        outcome = "Internal"
        shown: dict[str, Any] = {}
        try:
            if method.startswith(APIS):
                result = await self._call_api(method, params, shown)
            else:
                shown = {k: v[:_MAX_SHOWN_CHARACTERS] for k, v in params.items() if k == "path" and isinstance(v, str)}
                result = await self._find(method)(params)
            outcome = "ok"
            return result
        except StatusError as error:
            outcome = error.reason
            raise
        except (ExecutionFailed, Superseded) as error:
            self.last = self.last or error
            outcome = error.reason if isinstance(error, ExecutionFailed) else "Superseded"
            await self._end_run()
            raise Conflict(f"the execution ends here: {error}") from None
        finally:
            duration_ms = round((self._clock.monotonic() - begin) * 1000, 1)
            self._trace.emit("HostCall", method=method[:80], outcome=outcome, durationMs=duration_ms, **shown)

    def log(self, level: str, message: str, fields: Mapping[str, Json]) -> None:
        """Keep one log line of the handler as an event."""
        data: dict[str, Any] = {"level": level[:16], "message": message[:_MAX_LOG_CHARACTERS]}
        self._trace.emit("Log", **data, **({"fields": fields} if fields else {}))

    async def _call_api(self, method: str, params: Mapping[str, Json], shown: dict[str, Any]) -> Json:
        """`apis.<connector>.<operation>`: through the effect journal."""
        if self._effects is None:
            raise MethodNotAllowed(
                f"{method[:80]!r} has no connector here, since they are called on a server; in a test, pass"
                " load_skill(…, capabilities=…)"
            )
        connector, _, operation = method.removeprefix(APIS).partition(".")
        answer = await self._effects.call(connector, operation, params)
        if answer.replayed:
            shown["replayed"] = True
        return answer.value

    def _find(self, method: str) -> Callable[[Mapping[str, Json]], Awaitable[Json]]:
        found = self._methods.get(method)
        if found is None:
            raise MethodNotAllowed(
                f"the host has no operation {method[:80]!r}{did_you_mean(method[:80], self._methods)}"
            )
        return found

    async def _read(self, params: Mapping[str, Json]) -> Json:
        """`tools.read`: the text of one of the skill's own files."""
        if "read" not in self._tools:
            raise Forbidden("this skill may not use tools.read; add 'read' to permissions.tools in aspora.config.yaml")
        path = params.get("path")
        if not isinstance(path, str) or set(params) != {"path"}:
            raise Invalid("tools.read takes one argument; send path, the file's path in the skill's folder")
        return read_text(self._folder, path, blocked=self._blocked)


def read_text(folder: Path, path: str, *, blocked: Sequence[str]) -> str:
    """The text of a file of a folder that holds no links.

    Raises:
        Forbidden: The path leaves the folder, or is blocked (whether or not there is such a file).
        NotFound: There is no such file.
        TooLarge: It is over the cap.
        Invalid: It is not UTF-8 text.
    """
    shown = path[:_MAX_SHOWN_CHARACTERS]
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\x00" in path:
        raise Forbidden(f"path {shown!r} leaves the skill's folder; write it relative to SKILL.md, without '..'")
    if is_blocked(str(pure), blocked):
        raise Forbidden(
            f"file {shown!r} is closed to this skill; take it off permissions.blocked_resources in aspora.config.yaml"
        )
    target = folder / pure
    if not target.resolve().is_relative_to(folder.resolve()):
        raise Forbidden(f"path {shown!r} leaves the skill's folder; name a file inside it")
    if not target.is_file():
        raise NotFound(f"the skill has no file {shown!r}; name one of its folder, relative to SKILL.md")
    if target.stat().st_size > MAX_READ_BYTES:
        raise TooLarge(f"file {shown!r} is over the cap of {MAX_READ_BYTES} bytes for one read")
    try:
        return target.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid(f"file {shown!r} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
