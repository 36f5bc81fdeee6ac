"""`make bench`: how quick Aspora is, from the command line to the last row written."""

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp

from bench.machine import print_machine
from bench.records import measure_records

ASPORA = [sys.executable, "-m", "aspora"]
SINGLE, BATCH, CONCURRENCY = 100, 320, 16
HANDLER = '''"""Does nothing, so that only the platform is measured."""

from aspora_sdk import SkillContext, SkillResult, skill_handler


@skill_handler
def handler(context: SkillContext) -> SkillResult:
    return SkillResult(success=True, message="done", data={}, confidence=1.0)
'''


def percentile(values: list[float], share: float) -> float:
    """The value below which that share lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def show(name: str, value: str, target: str, method: str) -> None:
    """One figure with its target and how it was taken."""
    print(f"{name:<44} {value:>24}   target {target:<12} {method}", flush=True)


def wall_ms(command: list[str], *, environ: dict[str, str], rounds: int) -> list[float]:
    """Wall times of whole processes, in milliseconds, after one that is not counted."""
    times: list[float] = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        subprocess.run(command, env=environ, check=True, capture_output=True)
        times.append((time.perf_counter() - started) * 1000)
    return times[1:]


def start(environ: dict[str, str]) -> float:
    """Seconds from the command to a ready Aspora."""
    started = time.perf_counter()
    subprocess.run([*ASPORA, "up", "--detach"], env=environ, check=True, capture_output=True)
    return time.perf_counter() - started


def stop(environ: dict[str, str]) -> None:
    """Stop it and wait."""
    subprocess.run([*ASPORA, "down"], env=environ, check=False, capture_output=True)


def deploy_noop(folder: Path, environ: dict[str, str]) -> None:
    """A skill whose handler returns at once."""
    skills = folder / "skills"
    subprocess.run(
        [*ASPORA, "create", "skill", "bench/noop", "--lang", "python", "--path", str(skills)],
        env=environ, check=True, capture_output=True,
    )  # fmt: skip
    (skills / "bench" / "noop" / "code" / "handler.py").write_text(HANDLER)
    subprocess.run([*ASPORA, "apply", "-f", str(skills)], env=environ, check=True, capture_output=True)


async def execute(session: aiohttp.ClientSession, url: str) -> tuple[float, dict[str, Any]]:
    """One execution, awaited over HTTP: milliseconds and the stored record."""
    started = time.perf_counter()
    body = {"input": {"userMessage": "go", "metadata": {}}}
    async with session.post(
        f"{url}/api/v1/domains/bench/skills/noop/executions", params={"wait": "30"}, json=body
    ) as r:
        answer = await r.json()
    if answer.get("status", {}).get("state") != "Succeeded":
        raise RuntimeError(f"an execution did not succeed: {json.dumps(answer)[:500]}")
    return (time.perf_counter() - started) * 1000, answer


async def measure_inline(url: str, key: str) -> None:
    """The no-op handler end to end, alone and sixteen at a time, split by stage."""
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for _ in range(10):
            await execute(session, url)
        alone = [await execute(session, url) for _ in range(SINGLE)]
        times = [ms for ms, _ in alone]
        value = f"p50 {percentile(times, 0.5):.1f} ms, p99 {percentile(times, 0.99):.1f} ms"
        show("inline no-op, one at a time", value, "p50 ≤ 80 ms", f"{SINGLE} POSTs with wait, one connection")
        _show_stages(alone)
        gate = asyncio.Semaphore(CONCURRENCY)

        async def one() -> float:
            async with gate:
                return (await execute(session, url))[0]

        started = time.perf_counter()
        batch = await asyncio.gather(*(one() for _ in range(BATCH)))
        rate = BATCH / (time.perf_counter() - started)
        value = f"{rate:.0f}/s, p50 {percentile(batch, 0.5):.0f} ms, p99 {percentile(batch, 0.99):.0f} ms"
        show("inline no-op, 16 at a time", value, "≥ 30/s", f"{BATCH} POSTs with wait, {CONCURRENCY} in flight")


def _show_stages(runs: list[tuple[float, dict[str, Any]]]) -> None:
    names: dict[str, list[float]] = {}
    for total, record in runs:
        stages: dict[str, float] = record["status"].get("stages") or {}
        for name, ms in stages.items():
            names.setdefault(name, []).append(float(ms))
        names.setdefault("rest (HTTP, wake-ups)", []).append(total - sum(map(float, stages.values())))
    print("  " + " · ".join(f"{name} {statistics.median(ms):.1f}" for name, ms in names.items()) + "  (ms, medians)")


def measure_command_line(environ: dict[str, str]) -> None:
    """Wall time of whole commands."""
    cases: list[tuple[str, list[str], str]] = [
        ("aspora --help", [*ASPORA, "--help"], "≤ 150 ms"),
        ("aspora get skills", [*ASPORA, "get", "skills"], "≤ 350 ms"),
    ]
    for name, command, target in cases:
        times = wall_ms(command, environ=environ, rounds=20)
        value = f"p50 {percentile(times, 0.5):.0f} ms, max {max(times):.0f} ms"
        show(name, value, target, "20 processes after one warm-up, wall")


def measure(folder: Path, environ: dict[str, str]) -> None:
    """Everything, in one throwaway data directory."""
    data_dir = Path(environ["ASPORA_DATA_DIR"])
    show("aspora up, first time (new data directory)", f"{start(environ):.1f} s", "≤ 15 s", "command to ready, wall")
    stop(environ)
    warm = [_timed_restart(environ) for _ in range(3)]
    show("aspora up, warm", f"median {statistics.median(warm):.1f} s", "≤ 5 s", "3 starts, command to ready, wall")
    start(environ)
    deploy_noop(folder, environ)
    measure_command_line(environ)
    endpoint = json.loads((data_dir / "endpoint.json").read_text())
    asyncio.run(measure_inline(endpoint["url"], (data_dir / "admin.key").read_text().strip()))
    stop(environ)
    rate, method = measure_records(data_dir)
    show("record and finish alone, 16 at a time", f"{rate:.0f}/s", "≥ 300/s", method)


def _timed_restart(environ: dict[str, str]) -> float:
    seconds = start(environ)
    stop(environ)
    return seconds


def main() -> None:
    """Print all figures; nothing is left behind."""
    folder = Path(tempfile.mkdtemp(prefix="aspora-bench-"))
    folder.chmod(0o711)
    environ = {k: v for k, v in os.environ.items() if not k.startswith("ASPORA_")}
    environ |= {"ASPORA_DATA_DIR": str(folder / "data"), "ASPORA_PORT": "0"}
    try:
        print_machine(folder)
        measure(folder, environ)
    finally:
        stop(environ)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
