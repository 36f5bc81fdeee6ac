"""Run a small handler in the driver itself and tell what it could and could not do."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aspora.sandbox.interface import Json, Limits, Probe

ENTRY_POINT = "code/probe.py"
LIMITS = Limits(timeout_seconds=10.0)
HANDLER = '''"""Tells the sandbox driver what a handler can reach: reads one file made for this, changes nothing."""

import os
import resource
import socket

from aspora_sdk import SkillResult, skill_handler


def readable(path):
    try:
        open(path).close()
    except OSError:
        return False
    return True


def network():
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()
    except OSError:
        return False
    return True


@skill_handler
def handler(context):
    with open("/proc/self/status") as status:
        facts = dict(line.split(":\\t", 1) for line in status.read().splitlines() if ":\\t" in line)
    seen = {
        "uid": os.getuid(),
        "groups": os.getgroups(),
        "no_new_privileges": facts.get("NoNewPrivs", "").strip() == "1",
        "reads_private_file": readable(context.input.metadata["private_file"]),
        "network": network(),
        "limits": {name: resource.getrlimit(getattr(resource, name))[1] for name in ("RLIMIT_AS", "RLIMIT_FSIZE")},
    }
    return SkillResult(success=True, message="probed", data=seen)
'''


@dataclass(frozen=True, slots=True)
class ProbeArtifact:
    """What the probe runs: the artifact's folder, and a file that only the driver's user may read."""

    folder: Path
    private_file: Path

    def context(self) -> Mapping[str, Json]:
        """The job's context."""
        given = {"user_message": "", "user_id": "", "domain": "", "metadata": {"private_file": str(self.private_file)}}
        return {
            "execution_id": "probe",
            "skill": "probe",
            "domain": "",
            "revision": "",
            "deadline_seconds": LIMITS.timeout_seconds,
            "input": given,
            "config": {},
        }


def write_artifact(folder: Path) -> ProbeArtifact:
    """Make the probe's artifact under a folder of the driver's own; made before, it is used again."""
    artifact = ProbeArtifact(folder=folder / "probe", private_file=folder / "probe-private")
    handler = artifact.folder / ENTRY_POINT
    handler.parent.mkdir(parents=True, exist_ok=True)
    handler.write_text(HANDLER, encoding="utf-8")
    artifact.private_file.touch(mode=0o600)
    return artifact


def _limits_not_held(seen: Json) -> list[str]:
    """Names of those that the handler did not find set as low as the job asked for."""
    wanted = {"RLIMIT_AS": LIMITS.memory_bytes, "RLIMIT_FSIZE": LIMITS.max_file_bytes}
    found = seen if isinstance(seen, Mapping) else {}
    held = {name for name, value in found.items() if isinstance(value, int) and 0 <= value <= wanted.get(name, 0)}
    return sorted(wanted.keys() - held)


def interpret(seen: Mapping[str, Json]) -> Probe:
    """What the handler's evidence means for an operator."""
    if not_held := _limits_not_held(seen.get("limits")):
        return Probe(
            available=False,
            message=f"handlers run without {' and '.join(not_held)}: this root lacks CAP_SYS_RESOURCE, and the"
            " installed aspora-sdk does not let a job's process limit itself; install the aspora-sdk of this release,"
            " add CAP_SYS_RESOURCE to the container, or run as an ordinary user",
        )
    isolates = [
        "endless loops, memory, output, file size and number of processes are capped",
        "no process outlives its job",
        "the platform's environment variables",
    ]
    exposes = [
        "the files that everybody may read, and shared folders such as /tmp and /dev/shm",
        "total processor share and disk space, which are not throttled",
    ]
    (exposes if seen.get("network") else isolates).append("the network")
    if seen.get("no_new_privileges"):
        isolates.append("gaining privileges by set-user-id programs")
    if seen.get("uid") != os.getuid() and not seen.get("reads_private_file"):
        isolates.append("files and processes of other users and of other jobs (each slot has a user of its own)")
        who = f"each slot as a user of its own (now {seen.get('uid')})"
    else:
        exposes.append("everything the platform's own user can reach: its files, its processes, other jobs")
        who = "as the platform's own user"
    message = f"handlers run as plain processes under limits, {who}; for code that you trust"
    return Probe(available=True, message=message, isolates=tuple(isolates), exposes=tuple(exposes))
