"""How long a thread that polls the engine's queue sleeps: briefly while work is under way, else until it is called."""

import threading
from collections.abc import Callable


class Bell(threading.Event):
    """The stop event that a polling thread waits on between its looks, with two ways more to end the wait.

    Args:
        busy: Asked at each wait, in the polling thread: whether the next look may not be far.
        busy_seconds: The longest wait then.
    """

    def __init__(self, *, busy: Callable[[], bool], busy_seconds: float) -> None:
        super().__init__()
        self._busy = busy
        self._busy_seconds = busy_seconds
        self._rung = threading.Event()

    def ring(self) -> None:
        """End the present or the next wait early: there may be work."""
        self._rung.set()

    def set(self) -> None:
        """End every wait: the thread is to stop."""
        super().set()
        self._rung.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the time, a ring or the stop; whether it is the stop."""
        if not self.is_set():
            if self._busy():
                timeout = self._busy_seconds if timeout is None else min(timeout, self._busy_seconds)
            self._rung.wait(timeout)
            self._rung.clear()
        return self.is_set()
