"""How long the process driver takes for a job that does nothing: `python -m bench.sandbox [--jobs N]`.

Method: one driver per row; each client runs its jobs one after another, with a fresh run id and the same artifact; the
wall time of `run` is measured around the call. A few jobs go before and are not counted. Stages are medians.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from aspora.sandbox.interface import Job, Limits, Outcome, RunId
from aspora.sandbox.process.driver import ProcessDriver
from aspora.testing.sandbox_suite import Host, context
from bench.machine import print_machine

ENTRY_POINT = "code/handler.py"
HANDLER = """from aspora_sdk import SkillResult, skill_handler


@skill_handler
def handler(context):
    return SkillResult(success=True, message="done")
"""
ROWS = ((0, 1), (1, 1), (0, 2), (2, 2), (0, 16), (16, 16))
WARM_UP_JOBS = 4


@dataclass(frozen=True, slots=True)
class Sample:
    """One job: its wall time as the caller saw it, and what the driver said."""

    seconds: float
    outcome: Outcome


async def client(driver: ProcessDriver, artifact: Path, *, name: str, jobs: int, pause_seconds: float) -> list[Sample]:
    """Run jobs one after another."""
    samples: list[Sample] = []
    for number in range(jobs):
        job = Job(
            run_id=RunId(f"{name}-{number}"),
            artifact_dir=artifact,
            entry_point=ENTRY_POINT,
            context=context({}),
            limits=Limits(),
        )
        began = time.perf_counter()
        outcome = await driver.run(job, Host())
        samples.append(Sample(seconds=time.perf_counter() - began, outcome=outcome))
        if outcome.failure is not None:
            raise SystemExit(f"a job failed: {outcome.failure}")
        if pause_seconds:
            await asyncio.sleep(pause_seconds)
    return samples


async def measure(folder: Path, *, warm: int, clients: int, jobs: int, pause_seconds: float) -> None:
    """Print one row."""
    artifact = folder / "artifact"
    driver = ProcessDriver(work_dir=folder / "work", runtime_dir=folder / "runtime", max_concurrency=clients, warm=warm)
    try:
        each = max(jobs // clients, 1)
        ready = (client(driver, artifact, name=f"w{n}", jobs=WARM_UP_JOBS, pause_seconds=0.0) for n in range(clients))
        await asyncio.gather(*ready)
        began = time.perf_counter()
        runs = (client(driver, artifact, name=f"c{n}", jobs=each, pause_seconds=pause_seconds) for n in range(clients))
        samples = [sample for run in await asyncio.gather(*runs) for sample in run]
        elapsed = time.perf_counter() - began
    finally:
        await driver.close()
    spent_ms = sorted(sample.seconds * 1000 for sample in samples)
    stages = {
        stage: statistics.median(sample.outcome.usage.stages[stage] * 1000 for sample in samples)
        for stage in samples[0].outcome.usage.stages
    }
    told = " ".join(f"{stage} {value:.1f}" for stage, value in stages.items())
    kind = "warm" if warm else "cold"
    p50, p99 = spent_ms[len(spent_ms) // 2], spent_ms[int(len(spent_ms) * 0.99)]
    rate = f"{len(samples) / elapsed:6.1f}" if not pause_seconds else "  idle"
    print(f"{kind}  {clients:3} at once  p50 {p50:6.1f} ms  p99 {p99:6.1f} ms  {rate} jobs/s  | {told}")


async def main() -> None:
    """Print the machine, then the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200, help="jobs a row")
    jobs = parser.parse_args().jobs
    who = "root, a user for each slot" if os.geteuid() == 0 else "an ordinary user"
    folder = Path(tempfile.mkdtemp(prefix="aspora-bench-"))
    folder.chmod(0o711)
    print_machine(folder)
    print(f"as {who}; stages in ms, medians")
    try:
        (folder / "artifact" / "code").mkdir(parents=True)
        (folder / "artifact" / ENTRY_POINT).write_text(HANDLER)
        # A caller that comes now and then finds the next warm process ready; one that never pauses waits for it.
        await measure(folder, warm=0, clients=1, jobs=jobs // 2, pause_seconds=0.05)
        await measure(folder, warm=1, clients=1, jobs=jobs // 2, pause_seconds=0.05)
        for warm, clients in ROWS:
            await measure(folder, warm=warm, clients=clients, jobs=jobs, pause_seconds=0.0)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    asyncio.run(main())
