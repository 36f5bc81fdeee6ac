"""One job, one process: read the host's request, run the handler, answer, leave."""

from __future__ import annotations

import os
import sys

from aspora_sdk import errors
from aspora_sdk.context import SkillContext
from aspora_sdk.link import HostLink
from aspora_sdk.loading import load_handler, resolve_entry_point
from aspora_sdk.running import run_handler
from aspora_sdk.wire import take_stdio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_TRACEBACK_BYTES = 8192
MAX_MESSAGE_CHARS = 2000
SDK_FOLDER = os.path.dirname(os.path.abspath(__file__))


def main() -> None:
    """Serve the one request on stdin and end the process, whatever threads the handler left behind."""
    wire = take_stdio()
    sys.stdout.reconfigure(line_buffering=True)  # pyright: ignore[reportAttributeAccessIssue] - a TextIOWrapper here
    try:
        request = wire.receive()
    except ValueError as problem:
        wire.send(
            {"jsonrpc": "2.0", "id": None, "error": _error(errors.PARSE_ERROR, f"the request is not JSON: {problem}")}
        )
        os._exit(0)
    if request is not None:
        outcome = _outcome(request, HostLink(wire), os.path.realpath(os.getcwd()))
        wire.send({"jsonrpc": "2.0", "id": request.get("id"), **outcome})
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _outcome(request: dict[str, Any], link: HostLink, root: str) -> dict[str, Any]:
    if request.get("method") != "execute":
        return {"error": _error(errors.METHOD_NOT_ALLOWED, f"unknown method {request.get('method')!r}; known: execute")}
    params: dict[str, Any] = request.get("params") or {}
    code = errors.LIMITS_NOT_SET
    # A handler may raise anything, SystemExit too: the host must hear of it rather than see a process vanish.
    try:
        _limit(params.get("rlimits") or {})
        code = errors.HANDLER_LOAD_FAILED
        path = resolve_entry_point(root, str(params.get("entry_point")))
        sys.path[:0] = [os.path.dirname(path), root]
        sys.dont_write_bytecode = True
        handler = load_handler(path)
        code = errors.HANDLER_RAISED
        return {"result": run_handler(handler, SkillContext(params.get("context") or {}, link=link), link)}
    except errors.InvalidResultError as problem:
        return {"error": _error(errors.INVALID_RESULT, str(problem))}
    except BaseException as problem:  # noqa: BLE001
        return {"error": _failure(code, problem, root)}


def _limit(rlimits: dict[str, list[int]]) -> None:
    """Put this process under limits, where whoever started it may not: before anything of the skill's is loaded."""
    if rlimits:
        resource = __import__("resource")  # half a millisecond, and not every host asks for it
        for name, (soft, hard) in rlimits.items():
            kind = getattr(resource, name)
            allowed = resource.getrlimit(kind)[1]
            ceiling = hard if allowed == resource.RLIM_INFINITY else min(hard, allowed)
            resource.setrlimit(kind, (min(soft, ceiling), ceiling))


def _error(code: int, message: str, **data: Any) -> dict[str, Any]:
    return {"code": code, "message": _clean(message)[:MAX_MESSAGE_CHARS], "data": data}


def _failure(code: int, problem: BaseException, root: str) -> dict[str, Any]:
    traceback = __import__(
        "traceback"
    )  # 6 ms, and only a failing job needs it; `importlib` would cost each job half one
    frames = problem.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(SDK_FOLDER):
        frames = frames.tb_next
    told = traceback.TracebackException(type(problem), problem, frames)
    text = _clean("".join(told.format())).replace(root + os.sep, "")
    tail = text.encode()[-MAX_TRACEBACK_BYTES:].decode(errors="ignore")
    data: dict[str, Any] = {"type": type(problem).__name__, "traceback": tail}
    if isinstance(problem, errors.CapabilityError):
        data["reason"] = problem.reason
    return _error(code, f"{type(problem).__name__}: {told}", **data)


def _clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
