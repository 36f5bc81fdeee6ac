"""Growing delays with jitter."""

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential delays: `base_seconds * factor**attempt`, at most `max_seconds`, each times 1 ± `jitter_ratio`."""

    base_seconds: float = 0.05
    factor: float = 2.0
    max_seconds: float = 30.0
    jitter_ratio: float = 0.2

    def delay_seconds(self, attempt: int, *, rand: Callable[[], float] = random.random) -> float:
        """The delay before retry number `attempt` (0 for the first); `rand` gives numbers in [0, 1)."""
        plain = min(self.base_seconds * self.factor ** min(attempt, 60), self.max_seconds)
        return plain * (1 + self.jitter_ratio * (2 * rand() - 1))
