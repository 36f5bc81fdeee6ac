"""What every cache tells of itself; `cache_metrics` makes metrics of it."""

from collections.abc import Callable
from typing import Final, Literal, Protocol

CacheFailure = Literal["Unavailable", "Damaged"]


class CacheMeter(Protocol):
    """Hears what becomes of questions to one cache."""

    def hit(self) -> None:
        """Asked for and there."""
        ...

    def miss(self) -> None:
        """Asked for and not there."""
        ...

    def evicted(self) -> None:
        """One entry went to make room."""
        ...

    def failed(self, reason: CacheFailure) -> None:
        """Asked in vain."""
        ...

    def show_entries(self, count: Callable[[], int]) -> None:
        """Ask this for the number of entries whenever somebody wants to know."""
        ...

    def show_bytes(self, size: Callable[[], int]) -> None:
        """Ask this for the size of all entries whenever somebody wants to know."""
        ...


class _Uncounted:
    def hit(self) -> None:
        pass

    def miss(self) -> None:
        pass

    def evicted(self) -> None:
        pass

    def failed(self, reason: CacheFailure) -> None:
        pass

    def show_entries(self, count: Callable[[], int]) -> None:
        pass

    def show_bytes(self, size: Callable[[], int]) -> None:
        pass


UNCOUNTED: Final[CacheMeter] = _Uncounted()
"""For a cache that nobody watches."""
