"""Start in the background, stop, and look at the Aspora of a data directory."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aspora.cli import exit_codes
from aspora.cli.output import Output, pairs
from aspora.cli.rest import Rest, place_option
from aspora.db.data_dir import explained, exposure, lock_is_held, prepare_data_dir, user_name
from aspora.main.before_start import check_before_start
from aspora.main.endpoint import Endpoint, read_endpoint
from aspora.main.listening import bind
from aspora.main.settings import Settings, place_of, with_full_paths
from aspora.meta.errors import StatusError, Unauthorized, Unavailable

LOG_NAME = "aspora.log"
MAX_LOG_BYTES = 10_000_000
START_TIMEOUT_SECONDS = 120
_POLL_SECONDS = 0.05


def running_endpoint(data_dir: Path) -> Endpoint | None:
    """The endpoint of the Aspora that runs over the data directory, or None.

    Raises:
        Forbidden: It is another user's.
    """
    with explained(data_dir):
        endpoint = read_endpoint(data_dir)
    return endpoint if endpoint is not None and lock_is_held(data_dir) else None


def _tail(log: Path, *, since_bytes: int, lines: int = 15) -> str:
    """The last lines, or those of the error that it ended with."""
    told: list[str] = []
    with contextlib.suppress(OSError), log.open("rb") as f:
        f.seek(since_bytes)
        told = f.read().decode(errors="replace").splitlines()[-lines:]
    errors = [i for i, line in enumerate(told) if line.startswith("Error: ")]
    return "\n".join(told[errors[-1] :] if errors else told)


def _open_log(log: Path) -> int:
    """The log for appending, made 0600; an old one of more than 10 MB is kept once as `.1`."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > MAX_LOG_BYTES:
            os.replace(log, log.with_suffix(".log.1"))
    return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def detach(settings: Settings, out: Output, *, overrides: Mapping[str, Any]) -> int:
    """Start in the background and wait until it is ready."""
    already = running_endpoint(settings.data_dir)
    if already is not None:
        out.line(f"Aspora already runs at {already.url} (process {already.pid})")
        return exit_codes.OK
    asyncio.run(check_before_start(settings))
    bind(settings).close()
    data_dir = prepare_data_dir(settings.data_dir, uid=os.geteuid())
    if exposed := exposure(data_dir):
        out.note(exposed)
    log = data_dir / LOG_NAME
    handle = _open_log(log)
    since = os.fstat(handle).st_size
    command = [sys.executable, "-m", "aspora", "--data-dir", str(data_dir)]
    try:
        process = subprocess.Popen(
            [*command, "up"],
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            start_new_session=True,
            cwd="/",
            env=with_full_paths(os.environ, settings),
        )
    finally:
        os.close(handle)
    return _wait_until_ready(process, data_dir, log, since_bytes=since, out=out, where=place_option(overrides))


def _wait_until_ready(
    process: "subprocess.Popen[bytes]", data_dir: Path, log: Path, *, since_bytes: int, out: Output, where: str
) -> int:
    started = time.monotonic()
    try:
        while time.monotonic() - started < START_TIMEOUT_SECONDS:
            endpoint = read_endpoint(data_dir)
            if endpoint is not None and endpoint.pid == process.pid:
                out.line(
                    f"Aspora is ready at {endpoint.url} (process {process.pid}, {time.monotonic() - started:.1f} s)"
                )
                out.line(f"  log    {log}")
                verbs = ("apply -f skills/", "status", "down")
                out.line("  next   " + "   ·   ".join(f"aspora {verb}{where}" for verb in verbs))
                return exit_codes.OK
            if process.poll() is not None:
                out.error(f"Aspora did not start; the end of {str(log)!r}:")
                out.note(_tail(log, since_bytes=since_bytes))
                known = process.returncode in exit_codes.MEANINGS and process.returncode != exit_codes.OK
                return process.returncode if known else exit_codes.FAILED
            time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
        raise
    process.send_signal(signal.SIGTERM)
    out.error(f"Aspora was not ready after {START_TIMEOUT_SECONDS} s and is told to stop; see {str(log)!r}")
    return exit_codes.FAILED


def down(settings: Settings, out: Output) -> int:
    """Stop the Aspora of the data directory and wait until it is gone."""
    endpoint = running_endpoint(settings.data_dir)
    if endpoint is None:
        out.line(f"no Aspora runs with data directory {str(settings.data_dir)!r}")
        return exit_codes.OK
    try:
        os.kill(endpoint.pid, signal.SIGTERM)
    except PermissionError:
        owner = user_name(os.stat(f"/proc/{endpoint.pid}").st_uid)
        out.error(
            f"process {endpoint.pid}, the Aspora of {str(settings.data_dir)!r}, belongs to user {owner!r};"
            f" stop it as {owner!r}"
        )
        return exit_codes.REFUSED
    except ProcessLookupError:
        pass
    deadline = time.monotonic() + settings.stop_grace_seconds + 30
    while lock_is_held(settings.data_dir):
        if time.monotonic() > deadline:
            out.error(f"process {endpoint.pid} has not ended; see {str(settings.data_dir / LOG_NAME)!r}")
            return exit_codes.FAILED
        time.sleep(_POLL_SECONDS)
    out.line("Aspora has stopped")
    return exit_codes.OK


def _server_rows(rest: Rest) -> dict[str, Any]:
    ready = rest.call("GET", "/readyz")
    nodes = list(rest.items("/api/v1/nodes"))
    counts = {plural: sum(1 for _ in rest.items(f"/api/v1/{plural}")) for plural in ("domains", "skills", "revisions")}
    return {
        "url": rest.url,
        "version": rest.call("GET", "/version")["version"],
        "ready": ready,
        "nodes": nodes,
    } | counts


def status(settings: Settings, out: Output, *, connect: Callable[[], Rest], as_json: bool) -> int:
    """Print how the reachable Aspora is; exit 3 when there is none."""
    try:
        found = _server_rows(connect())
    except Unavailable as e:
        if as_json:
            out.json({"running": False, "message": e.message})
            return exit_codes.UNAVAILABLE
        raise
    except Unauthorized:
        raise
    except StatusError as e:
        raise Unavailable(
            f"the gateway answers but is not well: {e.message}; find out why: aspora doctor{place_of(settings)}"
        ) from None
    if as_json:
        out.json({"running": True, **found})
        return exit_codes.OK
    endpoint = running_endpoint(settings.data_dir)
    rows = [("Aspora", f"{found['version']} at {found['url']}")]
    if endpoint is not None:
        rows.append(("Running since", f"{endpoint.started_at} (process {endpoint.pid})"))
        rows.append(("Data directory", str(settings.data_dir)))
    alive = [n["metadata"]["name"] for n in found["nodes"] if n["status"]["state"] == "Alive"]
    rows.append(("Nodes", ", ".join(alive) or "none: nothing runs executions"))
    rows += [(plural.capitalize(), str(found[plural])) for plural in ("domains", "skills", "revisions")]
    for text in pairs(rows):
        out.line(text)
    return exit_codes.OK
