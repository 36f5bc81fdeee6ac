"""The kernel's limits of one job. Shared by driver and supervisor: standard library only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caps:
    """Resource limits of one job; `max_tasks` counts what the kernel counts: all threads of the user."""

    cpu_seconds: int
    memory_bytes: int
    max_file_bytes: int
    max_tasks: int

    def rlimits(self) -> dict[str, tuple[int, int]]:
        """Soft and hard limit by the name that `resource` gives them."""
        return {
            "RLIMIT_CPU": (self.cpu_seconds, self.cpu_seconds + 1),
            "RLIMIT_AS": (self.memory_bytes, self.memory_bytes),
            "RLIMIT_FSIZE": (self.max_file_bytes, self.max_file_bytes),
            "RLIMIT_NPROC": (self.max_tasks, self.max_tasks),
        }
