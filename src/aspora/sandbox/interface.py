"""The contract of a sandbox driver: one job, one fresh place to run it, one outcome.

A driver runs code it does not trust and says what became of it. Two kinds of failure never mix: what the *handler* did
is a `Failure` inside the `Outcome`; what the *driver* could not do is an exception (`SpawnFailed`).
`aspora.testing.sandbox_suite` holds every driver to this page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NewType, Protocol, TypeAlias

from aspora.meta.errors import Unavailable

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""What can travel on the wire: no NaN, no infinity, text without NUL or half surrogates."""

RunId = NewType("RunId", str)

MIB = 1024 * 1024


class SpawnFailed(Unavailable):
    """The driver could not give the job a place to run, or lost it; the handler is not to blame."""


class FailureReason(StrEnum):
    """Why a handler has no result."""

    HANDLER_LOAD_FAILED = "HandlerLoadFailed"
    """Its file, an import or its handler function is missing, or the module itself raised."""
    HANDLER_RAISED = "HandlerRaised"
    """The handler function raised."""
    INVALID_RESULT = "InvalidResult"
    """It returned something that is not a skill result."""
    HANDLER_CRASHED = "HandlerCrashed"
    """The process ended without an answer; the message names exit code or signal."""
    PROTOCOL_ERROR = "ProtocolError"
    """What it wrote is not the protocol: bad JSON, a wrong id, an overlong line."""
    OUTPUT_TOO_LARGE = "OutputTooLarge"
    """It logged and returned more than one execution may; the message says how much that is."""
    TIMED_OUT = "TimedOut"
    """It used up its wall time or its processor time."""
    MEMORY_EXCEEDED = "MemoryExceeded"
    """It used up its memory, where the sandbox can tell."""
    TOO_MANY_PROCESSES = "TooManyProcesses"
    """It had more processes and threads at once than one execution may, where the sandbox can tell."""
    CANCELLED = "Cancelled"
    """It was ended on request before it had an answer."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job may use. Each driver's probe says how exactly it holds them.

    Attributes:
        timeout_seconds: Wall time from the moment the handler has its request.
        memory_bytes: Memory of all the job's processes together.
        cpu_millis: Thousandths of one processor. A driver that cannot throttle instead ends a job after
            `timeout_seconds * cpu_millis / 1000` seconds of processor time, rounded up to a second.
        max_output_bytes: What may be written to the wire, and again to stderr.
        max_processes: Processes and threads alive at once.
        max_file_bytes: Size of any one file it writes.
    """

    timeout_seconds: float = 30.0
    memory_bytes: int = 512 * MIB
    cpu_millis: int = 500
    max_output_bytes: int = 8 * MIB
    max_processes: int = 64
    max_file_bytes: int = 64 * MIB


@dataclass(frozen=True, slots=True)
class Job:
    """One handler to run once.

    Attributes:
        run_id: Unique among the jobs that this driver is running.
        artifact_dir: The folder that `SandboxDriver.prepare` returned; the handler gets its own copy as working folder.
        entry_point: Path of the handler inside the artifact, with `/`.
        context: The `context` of the handler protocol.
        limits: What it may use.
        language: Which runtime starts it; a driver refuses those it has not.
    """

    run_id: RunId
    artifact_dir: Path
    entry_point: str
    context: Mapping[str, Json]
    limits: Limits = field(default_factory=Limits)
    language: str = "python"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no result, for people in `message`. Traceback text is in `details`, capped by the driver."""

    reason: FailureReason
    message: str
    details: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a job used.

    Attributes:
        wall_seconds: From having a slot until no process of the job was left.
        cpu_seconds: User and system time of all its processes.
        max_rss_bytes: Resident size of its largest process.
        start_seconds: From having a slot until the handler had its request.
        stages: Seconds by stage, in order; `wait` is for a slot, before `wall_seconds` begins.
    """

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    max_rss_bytes: int = 0
    start_seconds: float = 0.0
    stages: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job: exactly one of `result` and `failure` is set.

    Attributes:
        result: The handler's answer: `success`, `message`, `data`, `confidence`, already checked for shape.
        failure: Why there is none.
        usage: What it took.
        stderr_tail: The last part of what it printed, as text; undecodable bytes are replaced.
    """

    result: Mapping[str, Json] | None
    failure: Failure | None
    usage: Usage
    stderr_tail: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a driver found out about itself by really running something.

    Attributes:
        available: Whether jobs can run here.
        message: What was found; when not available, why and what would do.
        isolates: What a handler is kept from, one short phrase each.
        exposes: What a handler can still reach; an operator must know it before running code of strangers.
    """

    available: bool
    message: str
    isolates: tuple[str, ...] = ()
    exposes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DriverStats:
    """A driver's present load, for metrics.

    Attributes:
        slots: Jobs that may run at once.
        busy: Jobs that run now.
        waiting: Jobs that wait for a slot.
        warm: Pre-started places that wait for a job.
        finished: Jobs that have ended since start, with a result or a failure.
        lost: Places that died under the driver and were replaced.
    """

    slots: int
    busy: int
    waiting: int
    warm: int
    finished: int
    lost: int


class HostCalls(Protocol):
    """What a handler may ask of the host while it runs."""

    async def call(self, method: str, params: Mapping[str, Json]) -> Json:
        """Answer one capability call, such as `tools.read`.

        It is cancelled when the job ends first.

        Args:
            method: The name after the handler protocol; unknown ones are for the host to refuse.
            params: The arguments, by name.

        Returns:
            The JSON result.

        Raises:
            StatusError: The handler sees its reason and message. Any other exception reaches the handler as `Internal`
                without a word of detail.
        """
        ...

    def log(self, level: str, message: str, fields: Mapping[str, Json]) -> None:
        """Take one log line of the handler, in the order written. Must not block."""
        ...


class SandboxDriver(Protocol):
    """Runs jobs in isolation. Every method belongs to the event loop that first used the driver."""

    async def probe(self) -> Probe:
        """Really run something and tell what was seen. Never raises for a missing part: the probe says so."""
        ...

    async def prepare(self, artifact_dir: Path) -> Path:
        """Make a verified artifact folder ready for many jobs.

        Args:
            artifact_dir: The unpacked folder, already checked against its digest; it stays as it is while jobs name it.

        Returns:
            The folder to name in `Job.artifact_dir`.

        Raises:
            Invalid: It holds what a sandbox must not get: links or special files.
            NotFound: There is no such folder.
        """
        ...

    async def run(self, job: Job, host: HostCalls) -> Outcome:
        """Wait for a free slot, run the job to its end, leave nothing of it behind.

        When it returns or raises, no process of the job is left. Cancelling the task kills the job first (within
        two seconds).

        Args:
            job: What to run.
            host: Who answers its calls.

        Returns:
            The result, or why the handler has none.

        Raises:
            SpawnFailed: The driver's own failure.
            Invalid: The job asks for what this driver has not.
            AlreadyExists: A job of that `run_id` is running.
        """
        ...

    async def kill(self, run_id: RunId) -> bool:
        """End a running or waiting job; its `run` returns `Cancelled`.

        Returns:
            False when there is no such job (any more).
        """
        ...

    def stats(self) -> DriverStats:
        """The present load."""
        ...

    async def close(self) -> None:
        """Kill what runs, leave no process and no work copy. The driver cannot be used again."""
        ...
