"""Processor time of an Aspora's processes, by role, from `/proc`: what the figures are bound by on a small machine."""

import os
import resource
import subprocess
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class _Process:
    """One line of `/proc/<pid>/stat`: seconds of its own, and of the children that it has waited for."""

    parent: int
    name: str
    command: str
    own_seconds: float
    ended_seconds: float


def _read(pid: str) -> _Process | None:
    try:
        head, _, tail = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return None
    fields = tail.split()
    user, system, ended_user, ended_system = (int(text) * _TICK_SECONDS for text in fields[11:15])
    return _Process(int(fields[1]), head.partition("(")[2], command, user + system, ended_user + ended_system)


def _role(process: _Process) -> str:
    if process.name.startswith("postgres"):
        return "PostgreSQL"
    if process.name == "aspora-sandbox":
        return "sandbox"
    for role in ("gateway", "executor"):
        if f"aspora.main.child {role}" in process.command:
            return role
    return "up" if " up" in process.command else "handler"


def tree_seconds(root: int) -> dict[str, float]:
    """Seconds by role of a process and all below it. Children of a sandbox supervisor are handlers, ended ones too."""
    found = {int(name): process for name in os.listdir("/proc") if name.isdigit() and (process := _read(name))}
    children: defaultdict[int, list[int]] = defaultdict(list)
    for pid, process in found.items():
        children[process.parent].append(pid)
    seconds: defaultdict[str, float] = defaultdict(float)
    ahead = [root]
    while ahead:
        pid = ahead.pop()
        ahead += children[pid]
        role = _role(found[pid])
        seconds[role] += found[pid].own_seconds
        seconds["handler" if role == "sandbox" else role] += found[pid].ended_seconds
    return dict(seconds)


def grown(before: Mapping[str, float], after: Mapping[str, float], *, per: float) -> dict[str, float]:
    """What was used between two looks, divided by `per`."""
    return {role: max(0.0, seconds - before.get(role, 0.0)) / per for role, seconds in after.items()}


def command_seconds(command: list[str], *, environ: Mapping[str, str], rounds: int) -> float:
    """Mean processor seconds of a command, with all it starts and waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(rounds):
        subprocess.run(command, env=dict(environ), check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / rounds
