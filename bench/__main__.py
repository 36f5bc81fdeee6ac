"""`make bench`: how quick Aspora is, from the command line to the last row written, and what bounds each figure."""

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

from bench.database import transactions
from bench.inline import measure_inline
from bench.machine import print_machine
from bench.processor import command_seconds, grown, tree_seconds
from bench.records import measure_records
from bench.report import because, parts, percentile, show

ASPORA = [sys.executable, "-m", "aspora"]
RESTARTS, ROUNDS, IDLE_SECONDS = 3, 20, 20
# A pooled session tells what it has done when it is next used, up to half a minute late: till then the load before it
# is counted.
SETTLE_SECONDS = 45
HANDLER = '''"""Does nothing, so that only the platform is measured."""

from aspora_sdk import SkillContext, SkillResult, skill_handler


@skill_handler
def handler(context: SkillContext) -> SkillResult:
    return SkillResult(success=True, message="done", data={}, confidence=1.0)
'''


def wall_ms(command: list[str], *, environ: dict[str, str], rounds: int) -> list[float]:
    """Wall times of whole processes, in milliseconds, after one that is not counted."""
    times: list[float] = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        subprocess.run(command, env=environ, check=True, capture_output=True)
        times.append((time.perf_counter() - started) * 1000)
    return times[1:]


class Installation:
    """One throwaway Aspora."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.data_dir = folder / "data"
        self.environ = environ | {"ASPORA_DATA_DIR": str(self.data_dir), "ASPORA_PORT": "0"}
        self._skills = folder / "skills"

    def call(self, *arguments: str, check: bool = True) -> float:
        """Run the command line; wall seconds."""
        started = time.perf_counter()
        subprocess.run([*ASPORA, *arguments], env=self.environ, check=check, capture_output=True)
        return time.perf_counter() - started

    def start(self) -> float:
        """Seconds from the command to a ready Aspora."""
        return self.call("up", "--detach")

    def stop(self) -> float:
        """Seconds from the command until nothing is left."""
        return self.call("down", check=False)

    @property
    def endpoint(self) -> tuple[str, int]:
        """Where the gateway answers, and the supervisor's process id."""
        found = json.loads((self.data_dir / "endpoint.json").read_text())
        return found["url"], found["pid"]

    def deploy_noop(self) -> None:
        """A skill whose handler returns at once."""
        self.call("create", "skill", "bench/noop", "--lang", "python", "--path", str(self._skills))
        (self._skills / "bench" / "noop" / "code" / "handler.py").write_text(HANDLER)
        self.call("apply", "-f", str(self._skills))


def measure_starts(aspora: Installation) -> None:
    """First start, warm starts, stops."""
    first_seconds = aspora.start()
    used = tree_seconds(aspora.endpoint[1])
    show("aspora up, first time (new data directory)", f"{first_seconds:.1f} s", "≤ 15 s", "command to ready, wall")
    because(f"initdb, then processor time until ready: {parts(used, digits=1, unit='s')}")
    aspora.stop()
    starts: list[float] = []
    stops: list[float] = []
    for _ in range(RESTARTS):
        starts.append(aspora.start())
        used = tree_seconds(aspora.endpoint[1])
        time.sleep(3)  # the executor still loads its engine: a stop in that moment is another figure
        stops.append(aspora.stop())
    value = f"median {statistics.median(starts):.1f} s"
    show("aspora up, warm", value, "≤ 5 s", f"{RESTARTS} starts, command to ready, wall")
    because(f"imports, mostly; processor time until ready: {parts(used, digits=1, unit='s')}")
    value = f"median {statistics.median(stops):.1f} s"
    show("aspora down, idle", value, "≤ 1.5 s", f"{RESTARTS} stops, command to nothing left, wall")
    because("one after the other: executor, gateway, PostgreSQL's checkpoint; the command itself")


def measure_command_line(aspora: Installation) -> None:
    """Wall time of whole commands."""
    bare_ms = command_seconds([sys.executable, "-c", "pass"], environ=aspora.environ, rounds=ROUNDS) * 1000
    cases: list[tuple[str, list[str], str]] = [
        ("aspora --help", [*ASPORA, "--help"], "≤ 150 ms"),
        ("aspora get skills", [*ASPORA, "get", "skills"], "≤ 350 ms"),
    ]
    for name, command, target in cases:
        times = wall_ms(command, environ=aspora.environ, rounds=ROUNDS)
        used_ms = command_seconds(command, environ=aspora.environ, rounds=ROUNDS) * 1000
        value = f"p50 {percentile(times, 0.5):.0f} ms, max {max(times):.0f} ms"
        show(name, value, target, f"{ROUNDS} processes after one warm-up, wall")
        because(f"imports: {used_ms:.0f} ms of processor time a process, {bare_ms:.0f} of them Python without Aspora")


def measure_idle(aspora: Installation) -> None:
    """What an Aspora uses that has nothing to do."""
    _, pid = aspora.endpoint
    time.sleep(SETTLE_SECONDS)
    asked, before, started = transactions(aspora.data_dir), tree_seconds(pid), time.perf_counter()
    time.sleep(IDLE_SECONDS)
    elapsed_seconds = time.perf_counter() - started
    used = grown(before, tree_seconds(pid), per=elapsed_seconds / 100)
    rate = (transactions(aspora.data_dir) - asked) / elapsed_seconds
    value = f"{sum(used.values()):.1f} % of a core"
    show("idle, all processes", value, "≤ 5 %", f"processor time over {IDLE_SECONDS} s")
    because(f"who looks for work nobody announced, each second or two: {parts(used, digits=1, unit='%')}")
    show("idle, transactions of PostgreSQL", f"{rate:.1f}/s", "≤ 20/s", f"pg_stat_database over {IDLE_SECONDS} s")
    because("probes: the durable engine's queue, list of queues and jobs, our queue, the objects' log, sweeps, leases")


def measure(aspora: Installation) -> None:
    """Everything, in one throwaway data directory."""
    measure_starts(aspora)
    aspora.start()
    aspora.deploy_noop()
    measure_command_line(aspora)
    url, pid = aspora.endpoint
    key = (aspora.data_dir / "admin.key").read_text().strip()
    asyncio.run(measure_inline(url, key, pid=pid))
    measure_idle(aspora)
    aspora.stop()
    measure_records(aspora.data_dir)


def main() -> None:
    """Print all figures; nothing is left behind."""
    folder = Path(tempfile.mkdtemp(prefix="aspora-bench-"))
    folder.chmod(0o711)
    aspora = Installation(folder, {k: v for k, v in os.environ.items() if not k.startswith("ASPORA_")})
    try:
        print_machine(folder)
        measure(aspora)
    finally:
        aspora.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
