"""What every sandbox driver must do: inherit `SandboxSuite`, give it a `subject` fixture, run pytest.

The tests use one driver for all of them, so each also proves that the driver survived the one before.
"""

import asyncio
import contextlib
import os
import resource
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from aspora.meta.errors import AlreadyExists, Forbidden, Invalid, MethodNotAllowed, NotFound
from aspora.sandbox.interface import MIB, Failure, FailureReason, Job, Json, Limits, Outcome, RunId, SandboxDriver
from aspora.testing.sandbox_handlers import SOURCES

ENTRY_POINT = "code/handler.py"
SOON_SECONDS = 9.0
"""Below the time that a quick job has, and above what a busy machine takes to end one."""

BUSY_SECONDS = 3.0
"""What a busy machine may add to what is promised."""

QUICK = Limits(timeout_seconds=10.0, cpu_millis=1000, memory_bytes=256 * MIB, max_output_bytes=MIB)


@dataclass(frozen=True, slots=True)
class SandboxSubject:
    """A driver under test.

    Attributes:
        driver: Open, with two slots or more.
        folder: Where the tests may make artifacts; the driver's user can read it.
        separates_jobs: Whether it keeps a job from reading another's copy.
    """

    driver: SandboxDriver
    folder: Path
    separates_jobs: bool

    def artifact(self, name: str) -> Path:
        """A folder with that handler as its entry point and a small data file."""
        folder = self.folder / f"{name}-{secrets.token_hex(4)}"
        (folder / "code").mkdir(parents=True)
        (folder / ENTRY_POINT).write_text(SOURCES[name])
        (folder / "data.txt").write_text("as published")
        return folder

    def job(self, name: str, *, limits: Limits = QUICK, **metadata: Any) -> Job:
        """A job that runs that handler with that metadata."""
        return Job(
            run_id=RunId(f"run-{secrets.token_hex(6)}"),
            artifact_dir=self.artifact(name),
            entry_point=ENTRY_POINT,
            context=context(metadata),
            limits=limits,
        )

    async def run(self, name: str, *, limits: Limits = QUICK, host: "Host | None" = None, **metadata: Any) -> Outcome:
        """Prepare and run that handler."""
        job = self.job(name, limits=limits, **metadata)
        prepared = await self.driver.prepare(job.artifact_dir)
        return await self.driver.run(replace(job, artifact_dir=prepared), host or Host())


@dataclass(slots=True)
class Host:
    """Answers `tools.read` by a function; keeps what was logged."""

    read: Callable[[str], Any] = str.upper
    logged: list[tuple[str, str, Mapping[str, Json]]] = field(default_factory=list)
    started: asyncio.Event = field(default_factory=asyncio.Event)

    async def call(self, method: str, params: Mapping[str, Json]) -> Json:
        """Serve one call."""
        if method != "tools.read":
            raise MethodNotAllowed(f"unknown capability {method!r}")
        answer = self.read(str(params["path"]))
        return await answer if asyncio.iscoroutine(answer) else answer

    def log(self, level: str, message: str, fields: Mapping[str, Json]) -> None:
        """Keep one line."""
        self.logged.append((level, message, fields))
        if message == "started":
            self.started.set()


def context(metadata: Mapping[str, Any]) -> dict[str, Json]:
    """A whole context of the handler protocol."""
    given = {"user_message": "hello", "user_id": "u1", "domain": "test", "metadata": dict(metadata)}
    return {
        "execution_id": str(metadata.get("execution_id", "EXEC-1")),
        "skill": "test/skill",
        "domain": "test",
        "revision": "r1",
        "deadline_seconds": 10.0,
        "input": given,
        "config": {},
    }


def data_of(outcome: Outcome) -> dict[str, Any]:
    """The result's data; fails the test with the failure's own words when there is none."""
    assert outcome.failure is None, f"{outcome.failure}\n{outcome.stderr_tail}"
    assert outcome.result is not None
    return cast("dict[str, Any]", outcome.result["data"])


def failure_of(outcome: Outcome) -> Failure:
    """The failure; fails the test when there is none."""
    assert outcome.failure is not None, outcome.result
    assert outcome.result is None
    return outcome.failure


def processes_marked(marker: str) -> list[int]:
    """Processes of this machine with that word on their command line."""
    found: list[int] = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError):
                if marker in Path(f"/proc/{name}/cmdline").read_text(errors="replace").split("\0"):
                    found.append(int(name))
    return found


def new_marker() -> str:
    """A word that no other process has."""
    return f"marker-{secrets.token_hex(8)}"


class SandboxSuite:
    """The conformance tests. A subclass provides the fixture `subject`."""

    async def test_probe_tells_what_it_found(self, subject: SandboxSubject) -> None:
        probe = await subject.driver.probe()
        assert probe.available, probe.message
        assert probe.message
        assert probe.isolates

    # Results, logs and calls

    async def test_result_and_context_travel_whole(self, subject: SandboxSubject) -> None:
        outcome = await subject.run("echo", number=7, text="größer 漢字", nothing=None, nested={"a": [1.5, True]})
        data = data_of(outcome)
        expected = {"number": 7, "text": "größer 漢字", "nothing": None, "nested": {"a": [1.5, True]}}
        assert data["metadata"] == expected
        assert data["user_id"] == "u1"
        assert outcome.result is not None
        assert {name: outcome.result[name] for name in ("success", "message", "confidence")} == {
            "success": True,
            "message": "hello",
            "confidence": 0.5,
        }
        assert "printed by the handler" in outcome.stderr_tail
        assert 0 < outcome.usage.start_seconds <= outcome.usage.wall_seconds
        assert outcome.usage.cpu_seconds > 0
        assert outcome.usage.max_rss_bytes > MIB

    async def test_logs_arrive_in_order(self, subject: SandboxSubject) -> None:
        host = Host()
        data_of(await subject.run("logs", host=host, count=500))
        assert host.logged == [("info", "line", {"number": number}) for number in range(500)]

    async def test_calls_are_answered_or_refused_by_reason(self, subject: SandboxSubject) -> None:
        def read(path: str) -> str:
            if path == "forbidden":
                raise Forbidden("not this file")
            if path == "broken":
                raise RuntimeError("password=hunter2")
            return path.upper()

        outcome = await subject.run("calls", host=Host(read=read), paths=["a", "forbidden", "broken", "b"])
        seen = data_of(outcome)["seen"]
        assert seen[0] == ["ok", "A"]
        assert seen[1][1] == "Forbidden"
        assert "not this file" in seen[1][2]
        assert seen[2][1] == "Internal"
        assert "hunter2" not in seen[2][2]
        assert seen[3] == ["ok", "B"]

    async def test_an_answer_that_is_not_json_is_refused(self, subject: SandboxSubject) -> None:
        seen = data_of(await subject.run("calls", host=Host(read=lambda path: object()), paths=["a"]))["seen"]
        assert seen[0][1] == "Internal"

    async def test_many_calls_at_once_are_all_answered(self, subject: SandboxSubject) -> None:
        async def slowly(path: str) -> str:
            await asyncio.sleep(0)
            return path * 100

        outcome = await subject.run("many_calls", host=Host(read=slowly), count=300)
        assert data_of(outcome)["answers"] == [str(number) * 100 for number in range(300)]

    async def test_a_large_answer_of_the_host_arrives(self, subject: SandboxSubject) -> None:
        seen = data_of(await subject.run("calls", host=Host(read=lambda path: "x" * 500_000), paths=["a"]))["seen"]
        assert len(seen[0][1]) == 500_000

    async def test_prints_are_kept_up_to_a_tail(self, subject: SandboxSubject) -> None:
        outcome = await subject.run("prints_then_answers", lines=20_000)
        data_of(outcome)
        assert outcome.stderr_tail.rstrip().endswith("line 19999")
        assert len(outcome.stderr_tail) < 200_000

    # What a handler does wrong

    async def test_raising(self, subject: SandboxSubject) -> None:
        failure = failure_of(await subject.run("raises"))
        assert failure.reason == FailureReason.HANDLER_RAISED
        assert "the amount is negative" in failure.message
        assert failure.details["type"] == "ValueError"
        assert "handler.py" in str(failure.details["traceback"])

    @pytest.mark.parametrize(("name", "word"), [("exits", "code 3"), ("segfaults", "SIGSEGV")])
    async def test_crashing(self, subject: SandboxSubject, name: str, word: str) -> None:
        failure = failure_of(await subject.run(name))
        assert failure.reason == FailureReason.HANDLER_CRASHED
        assert word in failure.message

    @pytest.mark.parametrize("name", ["no_such_import", "no_handler"])
    async def test_loading(self, subject: SandboxSubject, name: str) -> None:
        assert failure_of(await subject.run(name)).reason == FailureReason.HANDLER_LOAD_FAILED

    async def test_missing_import_is_named(self, subject: SandboxSubject) -> None:
        assert "a_module_that_nobody_has" in failure_of(await subject.run("no_such_import")).message

    @pytest.mark.parametrize("entry_point", ["../outside.py", "/etc/passwd", "code/missing.py"])
    async def test_entry_point_outside_or_missing(self, subject: SandboxSubject, entry_point: str) -> None:
        job = replace(subject.job("echo"), entry_point=entry_point)
        (job.artifact_dir.parent / "outside.py").write_text(SOURCES["echo"])
        failure = failure_of(await subject.driver.run(job, Host()))
        assert failure.reason == FailureReason.HANDLER_LOAD_FAILED
        assert entry_point in failure.message

    async def test_a_result_of_another_shape(self, subject: SandboxSubject) -> None:
        assert failure_of(await subject.run("returns_nothing")).reason == FailureReason.INVALID_RESULT

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ("no json", FailureReason.PROTOCOL_ERROR),
            ("[]", FailureReason.PROTOCOL_ERROR),
            ("\xff\xfe", FailureReason.PROTOCOL_ERROR),
            ("[" * 100_000, FailureReason.PROTOCOL_ERROR),
            ('{"jsonrpc":"2.0","id":2,"result":{}}', FailureReason.PROTOCOL_ERROR),
            ('{"jsonrpc":"2.0","id":1,"result":{},"error":{}}', FailureReason.PROTOCOL_ERROR),
            ('{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"?"}}', FailureReason.PROTOCOL_ERROR),
            ('{"jsonrpc":"2.0","id":1,"result":{"success":NaN}}', FailureReason.PROTOCOL_ERROR),
            ('{"jsonrpc":"2.0","id":1,"result":{"success":1e999}}', FailureReason.PROTOCOL_ERROR),
            ('{"jsonrpc":"2.0","id":1,"result":{"success":1,"message":""}}', FailureReason.INVALID_RESULT),
            ('{"jsonrpc":"2.0","id":1,"result":{"success":true,"message":"\\u0000"}}', FailureReason.INVALID_RESULT),
            ('{"jsonrpc":"2.0","id":1,"result":{"success":true,"message":"\\ud800"}}', FailureReason.INVALID_RESULT),
            ('{"jsonrpc":"2.0","id":[],"method":"tools.read","params":{}}', FailureReason.PROTOCOL_ERROR),
        ],
    )
    async def test_bad_lines_on_the_wire(self, subject: SandboxSubject, line: str, reason: FailureReason) -> None:
        assert failure_of(await subject.run("writes_line", line=line)).reason == reason

    async def test_closing_the_wire_without_an_answer(self, subject: SandboxSubject) -> None:
        outcome = await subject.run("deaf")
        assert failure_of(outcome).reason in {FailureReason.PROTOCOL_ERROR, FailureReason.HANDLER_CRASHED}
        assert outcome.usage.wall_seconds < SOON_SECONDS

    # What a handler may use

    @pytest.mark.parametrize("name", ["endless_logs", "endless_line", "endless_prints"])
    async def test_endless_output_is_stopped_at_the_cap(self, subject: SandboxSubject, name: str) -> None:
        before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        outcome = await subject.run(name)
        assert failure_of(outcome).reason == FailureReason.OUTPUT_TOO_LARGE
        assert outcome.usage.wall_seconds < SOON_SECONDS
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 64 * 1024

    @pytest.mark.parametrize("name", ["endless_loop", "sleeps", "stops_itself", "has_stopped_children"])
    async def test_time_runs_out(self, subject: SandboxSubject, name: str) -> None:
        marker = new_marker()
        limits = replace(QUICK, timeout_seconds=1.0)
        outcome = await subject.run(name, limits=limits, marker=marker, answers=False)
        assert failure_of(outcome).reason == FailureReason.TIMED_OUT
        assert 0.9 < outcome.usage.wall_seconds < SOON_SECONDS
        assert processes_marked(marker) == []

    async def test_processor_time_runs_out(self, subject: SandboxSubject) -> None:
        limits = replace(QUICK, timeout_seconds=20.0, cpu_millis=50)
        outcome = await subject.run("endless_loop", limits=limits)
        assert failure_of(outcome).reason == FailureReason.TIMED_OUT

    @pytest.mark.parametrize(
        ("name", "metadata"), [("allocates", {"mib": 400}), ("allocates_in_children", {"children": 5, "mib": 80})]
    )
    async def test_memory_runs_out(self, subject: SandboxSubject, name: str, metadata: dict[str, int]) -> None:
        outcome = await subject.driver.run(subject.job(name, **cast("dict[str, Any]", metadata)), Host())
        assert failure_of(outcome).reason == FailureReason.MEMORY_EXCEEDED
        assert outcome.usage.wall_seconds < SOON_SECONDS

    async def test_breeding_is_bounded_and_leaves_nothing(self, subject: SandboxSubject) -> None:
        marker = new_marker()
        limits = replace(QUICK, max_processes=12)
        outcome = await subject.run("breeds", limits=limits, marker=marker, count=40)
        assert failure_of(outcome).reason in {FailureReason.TOO_MANY_PROCESSES, FailureReason.HANDLER_RAISED}
        assert processes_marked(marker) == []

    # Nothing is left

    async def test_detached_processes_are_gone(self, subject: SandboxSubject) -> None:
        marker = new_marker()
        data_of(await subject.run("orphans", marker=marker))
        assert processes_marked(marker) == []

    async def test_stopped_processes_are_gone(self, subject: SandboxSubject) -> None:
        marker = new_marker()
        data_of(await subject.run("has_stopped_children", marker=marker, answers=True))
        assert processes_marked(marker) == []

    async def test_a_chain_of_forks_ends(self, subject: SandboxSubject) -> None:
        outcome = await subject.run("forks_on")
        data_of(outcome)
        assert outcome.usage.wall_seconds < SOON_SECONDS

    async def test_lingering_after_the_answer(self, subject: SandboxSubject) -> None:
        outcome = await subject.run("lingers")
        data_of(outcome)
        assert outcome.usage.wall_seconds < SOON_SECONDS

    async def test_cancelling_kills_within_two_seconds(self, subject: SandboxSubject) -> None:
        host, marker = Host(), new_marker()
        task = asyncio.create_task(subject.run("sleeps", host=host, marker=marker))
        await host.started.wait()
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 2.0 + BUSY_SECONDS
        assert processes_marked(marker) == []

    async def test_kill_ends_a_running_job(self, subject: SandboxSubject) -> None:
        host, marker = Host(), new_marker()
        job = subject.job("sleeps", marker=marker)
        task = asyncio.create_task(subject.driver.run(job, host))
        await host.started.wait()
        began = time.monotonic()
        assert await subject.driver.kill(job.run_id)
        assert failure_of(await task).reason == FailureReason.CANCELLED
        assert time.monotonic() - began < 2.0 + BUSY_SECONDS
        assert processes_marked(marker) == []
        assert not await subject.driver.kill(job.run_id)

    async def test_a_call_in_flight_is_cancelled_with_its_job(self, subject: SandboxSubject) -> None:
        host, cancelled = Host(), asyncio.Event()

        async def hang(path: str) -> str:
            host.started.set()
            try:
                return await asyncio.Future[str]()
            finally:
                cancelled.set()

        host.read = hang
        job = subject.job("calls", paths=["a"])
        task = asyncio.create_task(subject.driver.run(job, host))
        await host.started.wait()
        assert await subject.driver.kill(job.run_id)
        assert failure_of(await task).reason == FailureReason.CANCELLED
        assert cancelled.is_set()

    # Jobs apart from each other and from the host

    async def test_jobs_run_side_by_side(self, subject: SandboxSubject) -> None:
        met = asyncio.Barrier(2)

        async def meet(path: str) -> str:
            await met.wait()
            return path

        outcomes = await asyncio.gather(*(subject.run("meets", host=Host(read=meet)) for _ in range(2)))
        assert all(outcome.failure is None for outcome in outcomes)

    async def test_a_job_cannot_read_the_copy_of_another(self, subject: SandboxSubject) -> None:
        if not subject.separates_jobs:
            pytest.skip("this driver does not separate jobs from each other here; its probe says so")
        where: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        pried = asyncio.Event()

        async def hold(path: str) -> str:
            where.set_result(path)
            await pried.wait()
            return ""

        keeper = asyncio.create_task(subject.run("keeps_secret", host=Host(read=hold)))
        path = await where
        assert (await asyncio.to_thread(Path(path).read_text)) == "secret"  # so it is there, for who may
        reached = data_of(await subject.run("pries", path=path))["reached"]
        pried.set()
        data_of(await keeper)
        copy = str(Path(path).parent)
        assert [found for found in reached if found.startswith(copy)] == []

    async def test_environment_is_clean(self, subject: SandboxSubject, monkeypatch: pytest.MonkeyPatch) -> None:
        secret = secrets.token_hex(8)
        for name in ("ASPORA_API_KEY", "OPENROUTER_API_KEY", "SOME_TOKEN"):
            monkeypatch.setenv(name, secret)
        data = data_of(await subject.run("environment"))
        environ = data["environ"]
        assert secret not in str(environ)
        assert not [name for name in environ if name.startswith("ASPORA") or name.endswith(("_KEY", "_TOKEN"))]
        assert environ["LANG"] == "C.UTF-8"
        assert environ["TZ"] == "UTC"
        assert not [path for path in data["path"] if "site-packages" in path]

    async def test_no_descriptor_of_the_host_is_inherited(self, subject: SandboxSubject) -> None:
        files = data_of(await subject.run("environment"))["files"]
        assert len(files) == 2  # the two ends of the wire, which the SDK moved out of the way
        assert all(name.startswith(("pipe:", "socket:")) for name in files)

    async def test_a_job_cannot_change_its_artifact(self, subject: SandboxSubject) -> None:
        job = subject.job("vandalises")
        first = await subject.driver.run(job, Host())
        data_of(first)
        assert (job.artifact_dir / ENTRY_POINT).read_text() == SOURCES["vandalises"]
        assert (job.artifact_dir / "data.txt").read_text() == "as published"
        again = await subject.driver.run(replace(job, run_id=RunId(f"{job.run_id}-again")), Host())
        data_of(again)

    # What a driver refuses

    async def test_links_are_refused(self, subject: SandboxSubject) -> None:
        folder = subject.artifact("echo")
        (folder / "link").symlink_to("/etc/passwd")
        with pytest.raises(Invalid):
            await subject.driver.prepare(folder)
        with pytest.raises(Invalid):
            await subject.driver.run(replace(subject.job("echo"), artifact_dir=folder), Host())
        data_of(await subject.run("echo"))

    async def test_a_missing_artifact_is_refused(self, subject: SandboxSubject) -> None:
        with pytest.raises(NotFound):
            await subject.driver.prepare(subject.folder / "nowhere")

    async def test_an_unknown_language_is_refused(self, subject: SandboxSubject) -> None:
        with pytest.raises(Invalid, match="cobol"):
            await subject.driver.run(replace(subject.job("echo"), language="cobol"), Host())

    async def test_a_context_that_is_not_json_is_refused(self, subject: SandboxSubject) -> None:
        with pytest.raises(Invalid):
            await subject.driver.run(replace(subject.job("echo"), context={"x": float("nan")}), Host())

    async def test_a_run_id_is_used_once_at_a_time(self, subject: SandboxSubject) -> None:
        host = Host()
        job = subject.job("sleeps", marker=new_marker())
        task = asyncio.create_task(subject.driver.run(job, host))
        await host.started.wait()
        with pytest.raises(AlreadyExists):
            await subject.driver.run(job, host)
        await subject.driver.kill(job.run_id)
        await task

    async def test_a_job_that_waits_can_be_killed(self, subject: SandboxSubject) -> None:
        slots = subject.driver.stats().slots
        hosts = [Host() for _ in range(slots)]
        jobs = [subject.job("sleeps", marker=new_marker()) for _ in range(slots)]
        tasks = [asyncio.create_task(subject.driver.run(*pair)) for pair in zip(jobs, hosts, strict=True)]
        for host in hosts:
            await host.started.wait()
        late = subject.job("echo")
        waiting = asyncio.create_task(subject.driver.run(late, Host()))
        while subject.driver.stats().waiting == 0:  # noqa: ASYNC110 - stats are read, not awaited
            await asyncio.sleep(0)
        await subject.driver.kill(late.run_id)
        assert failure_of(await waiting).reason == FailureReason.CANCELLED
        for job in jobs:
            await subject.driver.kill(job.run_id)
        assert [failure_of(outcome).reason for outcome in await asyncio.gather(*tasks)] == ["Cancelled"] * slots

    async def test_a_host_that_fails_to_log_ends_the_job(self, subject: SandboxSubject) -> None:
        class Full(Host):
            def log(self, level: str, message: str, fields: Mapping[str, Json]) -> None:
                raise OSError("disk full")

        marker = new_marker()
        with pytest.raises(OSError, match="disk full"):
            await subject.run("sleeps", host=Full(), marker=marker)
        assert processes_marked(marker) == []
