"""What the process driver does when parts of it die: nothing hangs, nothing is left, the next job runs."""

import asyncio
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from aspora.meta.errors import Unavailable
from aspora.sandbox.interface import FailureReason, SpawnFailed
from aspora.sandbox.process import procfs
from aspora.sandbox.process.driver import ProcessDriver
from aspora.testing.sandbox_suite import QUICK, Host, SandboxSubject, data_of, failure_of, new_marker, processes_marked

CHILD = """
import asyncio, os, sys
from pathlib import Path
from aspora.sandbox.process.driver import ProcessDriver
from aspora.testing.sandbox_suite import QUICK, Host, SandboxSubject

async def main(folder, marker):
    driver = ProcessDriver(work_dir=folder / "work", runtime_dir=folder / "runtime", max_concurrency=1)
    subject = SandboxSubject(driver=driver, folder=folder / "artifacts", separates_jobs=False)
    host = Host()
    running = asyncio.create_task(subject.run("sleeps", host=host, marker=marker))
    await host.started.wait()
    print("started", flush=True)
    await running

asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""


LONG = replace(QUICK, timeout_seconds=25.0)


@pytest.fixture(scope="module")
def open_folder() -> Generator[Path]:
    """A folder that other users may pass through; pytest's own is closed to them."""
    folder = Path(tempfile.mkdtemp(prefix="aspora-sandbox-"))
    folder.chmod(0o711)
    (folder / "artifacts").mkdir()
    yield folder
    shutil.rmtree(folder)


@asynccontextmanager
async def opened(folder: Path, *, warm: int = 0, slots: int = 1) -> AsyncGenerator[SandboxSubject]:
    """A driver for one test."""
    driver = ProcessDriver(work_dir=folder / "work", runtime_dir=folder / "runtime", max_concurrency=slots, warm=warm)
    try:
        yield SandboxSubject(driver=driver, folder=folder / "artifacts", separates_jobs=False)
    finally:
        await driver.close()


def is_free(lock: Path) -> bool:
    """Whether no process holds the lock."""
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def supervisor_above(pid: int) -> int:
    """The supervisor that a sandboxed process descends from."""
    while (stand := procfs.stand(pid)).name != "aspora-sandbox":
        pid = stand.parent
    return pid


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait for what another process brings about."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("warm", [0, 1])
async def test_a_supervisor_that_dies_is_replaced_and_its_job_swept(open_folder: Path, warm: int) -> None:
    async with opened(open_folder, warm=warm) as subject:
        host, marker = Host(), new_marker()
        running = asyncio.create_task(subject.run("sleeps", host=host, marker=marker))
        await host.started.wait()
        await eventually(lambda: len(processes_marked(marker)) == 1)
        os.kill(supervisor_above(processes_marked(marker)[0]), signal.SIGKILL)
        with pytest.raises(SpawnFailed, match="lost"):
            await running
        assert processes_marked(marker) == []
        data_of(await subject.run("echo"))
        assert subject.driver.stats().lost == 1


async def test_an_idle_supervisor_that_dies_costs_no_job(open_folder: Path) -> None:
    async with opened(open_folder) as subject:
        data_of(await subject.run("echo"))
        idle = [pid for pid in children_of(os.getpid()) if name_of(pid) == "aspora-sandbox"]
        for pid in idle:
            os.kill(pid, signal.SIGKILL)
            await eventually(lambda pid=pid: name_of(pid) != "aspora-sandbox" or is_zombie(pid))
        data_of(await subject.run("echo"))


async def test_a_warm_process_that_dies_costs_no_job(open_folder: Path) -> None:
    async with opened(open_folder, warm=1) as subject:
        data_of(await subject.run("echo"))
        await eventually(lambda: subject.driver.stats().warm == 1)
        (supervisor,) = (pid for pid in children_of(os.getpid()) if name_of(pid) == "aspora-sandbox")
        await eventually(lambda: len(children_of(supervisor)) == 1)
        os.kill(children_of(supervisor)[0], signal.SIGKILL)
        data_of(await subject.run("echo"))


@pytest.mark.parametrize("request_bytes", [10, 300_000])
async def test_a_process_that_dies_with_its_job_unread_costs_no_job(open_folder: Path, request_bytes: int) -> None:
    async with opened(open_folder, warm=1) as subject:
        data_of(await subject.run("echo"))
        await eventually(lambda: subject.driver.stats().warm == 1)
        (supervisor,) = (pid for pid in children_of(os.getpid()) if name_of(pid) == "aspora-sandbox")
        await eventually(lambda: len(children_of(supervisor)) == 1)
        (warm,) = children_of(supervisor)
        await eventually(lambda: name_of(warm) != "aspora-sandbox")  # its program runs
        os.kill(warm, signal.SIGSTOP)  # the job is handed over, and nobody reads it
        await eventually(lambda: procfs.stand(warm).is_stopped)
        running = asyncio.create_task(subject.run("echo", padding="x" * request_bytes))
        await eventually(lambda: held_bytes(warm) > 0)
        os.kill(warm, signal.SIGKILL)
        assert data_of(await running)["metadata"]["padding"] == "x" * request_bytes
        assert warm not in children_of(supervisor)


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
async def test_a_job_that_turns_on_its_supervisor_gains_nothing(open_folder: Path, number: signal.Signals) -> None:
    marker = new_marker()

    async def when_all_are_there(path: str) -> str:
        await eventually(lambda: len(processes_marked(marker)) == 2)
        return path

    async with opened(open_folder) as subject:
        host = Host(read=when_all_are_there)
        async with asyncio.timeout(20):  # sooner than the job's own timeout and what is granted beyond it
            running = subject.run("attacks_supervisor", limits=LONG, host=host, marker=marker, signal=number)
            if os.geteuid() == 0:
                assert "PermissionError" in str(failure_of(await running).details)
            else:
                with pytest.raises(SpawnFailed, match="was stopped" if number == signal.SIGSTOP else "lost"):
                    await running
        assert processes_marked(marker) == []
        data_of(await subject.run("echo"))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_an_executor_that_dies_leaves_nothing(open_folder: Path, number: signal.Signals) -> None:
    marker = new_marker()
    command = [sys.executable, "-c", CHILD, str(open_folder), marker]
    executor = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert executor.stdout is not None
    assert await executor.stdout.readline() == b"started\n"
    await eventually(lambda: len(processes_marked(marker)) > 0)
    executor.send_signal(number)
    await executor.wait()
    await eventually(lambda: processes_marked(marker) == [])
    await eventually(lambda: list((open_folder / "work").glob("*/slot-*")) == [])
    (lock,) = (open_folder / "work").glob("*.lock")
    await eventually(lambda: is_free(lock))
    async with opened(open_folder) as subject:  # the next one to start removes the rest
        data_of(await subject.run("echo"))
        assert len(list((open_folder / "work").glob("*.lock"))) == 1


async def test_two_drivers_share_a_work_folder(open_folder: Path) -> None:
    async with opened(open_folder) as first:
        data_of(await first.run("echo"))
        async with opened(open_folder) as second:
            cwd = [data_of(await subject.run("echo"))["cwd"] for subject in (first, second)]
            assert Path(cwd[0]).parents[2] != Path(cwd[1]).parents[2]
        data_of(await first.run("echo"))


async def test_a_full_work_copy_is_the_drivers_failure(open_folder: Path) -> None:
    async with opened(open_folder) as subject:
        job = subject.job("echo")
        shutil.rmtree(job.artifact_dir)
        with pytest.raises(Exception, match="can't be read"):
            await subject.driver.run(job, Host())
        data_of(await subject.run("echo"))


async def test_an_unusable_work_folder_is_told_by_the_probe(open_folder: Path) -> None:
    (open_folder / "file").write_text("")
    driver = ProcessDriver(work_dir=open_folder / "file" / "work", runtime_dir=open_folder / "runtime")
    probe = await driver.probe()
    await driver.close()
    assert not probe.available
    assert "work folder" in probe.message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives jobs another user")
async def test_a_runtime_folder_out_of_reach_is_told_by_the_probe(open_folder: Path) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    driver = ProcessDriver(work_dir=open_folder / "work", runtime_dir=closed / "runtime")
    probe = await driver.probe()
    await driver.close()
    assert not probe.available
    assert "data directory" in probe.message
    assert closed.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives jobs another user")
async def test_each_slot_has_a_user_of_its_own(open_folder: Path) -> None:
    met = asyncio.Barrier(2)

    async def meet(path: str) -> str:
        await met.wait()
        return path

    async with opened(open_folder, slots=2) as subject:
        jobs = [asyncio.create_task(subject.run("meets", host=Host(read=meet))) for _ in range(2)]
        await asyncio.gather(*jobs)
        owners = {path.stat().st_uid for path in (open_folder / "work").glob("*/slot-*/*")}
        assert 0 not in owners


async def test_a_closed_driver_refuses(open_folder: Path) -> None:
    async with opened(open_folder) as subject:
        host = Host()
        running = asyncio.create_task(subject.run("sleeps", host=host, marker=new_marker()))
        await host.started.wait()
    assert failure_of(await running).reason == FailureReason.CANCELLED
    with pytest.raises(Unavailable, match="closed"):
        await subject.run("echo")


async def test_the_slot_after_a_burst(open_folder: Path) -> None:
    async with opened(open_folder, slots=3) as subject:
        outcomes = await asyncio.gather(*(subject.run("echo", number=number) for number in range(12)))
        assert [data_of(outcome)["metadata"]["number"] for outcome in outcomes] == list(range(12))
        assert subject.driver.stats().finished == 12


@pytest.mark.parametrize("warm", [0, 2])
async def test_no_descriptor_or_process_leaks(open_folder: Path, warm: int) -> None:
    async with opened(open_folder, warm=warm, slots=2) as subject:
        seen: list[tuple[int, int]] = []
        for _ in range(3):
            names = ["echo", "raises", "exits", "endless_line"]
            await asyncio.gather(*(subject.run(name) for name in names))
            await eventually(lambda: subject.driver.stats().busy == 0)
            seen.append((len(os.listdir("/proc/self/fd")), len(children_of(os.getpid()))))
        assert seen[0] == seen[1] == seen[2]


def children_of(pid: int) -> list[int]:
    """Child processes."""
    tasks = Path(f"/proc/{pid}/task")
    return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]


def held_bytes(pid: int) -> int:
    """What waits in the pipes that a process reads; it may have moved its standard input to another descriptor."""
    held = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        flags = Path(f"/proc/{pid}/fdinfo/{entry.name}").read_text().split("flags:")[1].split()[0]
        if entry.is_fifo() and int(flags, 8) & os.O_ACCMODE == os.O_RDONLY:
            pipe = os.open(entry, os.O_RDONLY | os.O_NONBLOCK)
            held += int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)
            os.close(pipe)
    return held


def name_of(pid: int) -> str:
    """A process's short name; empty when it is gone."""
    path = Path(f"/proc/{pid}/comm")
    return path.read_text().strip() if path.exists() else ""


def is_zombie(pid: int) -> bool:
    """Whether it has ended and waits for its parent."""
    return ") Z " in Path(f"/proc/{pid}/stat").read_text()
