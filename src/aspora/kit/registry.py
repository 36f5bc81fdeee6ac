"""One registry for every extension point: a table of built-ins plus entry points, loaded only when asked for."""

import importlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")


def load_object(target: str) -> Any:
    """Import `"module:attribute"` and return the attribute."""
    module, _, attribute = target.partition(":")
    loaded = importlib.import_module(module)
    return getattr(loaded, attribute) if attribute else loaded


class UnknownExtension(LookupError):
    """A name that no table or entry point has; the message lists those that exist."""


class Registry(Generic[T]):
    """Named extensions of one sort.

    Args:
        what: The sort in a person's words, for errors: `scanner`, `kind`.
        builtins: Name to `"module:attribute"`; nothing is imported before `load`.
        group: Entry-point group where other packages add theirs; None when the sort is closed.
    """

    def __init__(self, *, what: str, builtins: Mapping[str, str], group: str | None = None) -> None:
        self._what = what
        self._targets = dict(builtins)
        self._group = group
        self._loaded: dict[str, T] = {}
        self._lock = threading.RLock()
        self._discovered = group is None

    def _discover(self) -> None:
        with self._lock:
            if self._discovered:
                return
            # Costs more to import than all the rest of a short command, and most commands never get here.
            entry_points = load_object("importlib.metadata:entry_points")
            for point in entry_points(group=self._group or ""):
                if point.name in self._targets:
                    raise ValueError(
                        f"{self._what} {point.name!r} from {point.value!r} is taken by {self._targets[point.name]!r};"
                        " uninstall one of the two packages"
                    )
                self._targets[point.name] = point.value
            self._discovered = True

    def names(self) -> list[str]:
        """All known names, built-ins first, without importing any."""
        self._discover()
        return list(self._targets)

    def load(self, name: str) -> T:
        """The extension of that name, imported on first use.

        Raises:
            UnknownExtension: No such name; the message lists the known ones.
        """
        self._discover()
        with self._lock:
            if name not in self._targets:
                raise UnknownExtension(f"unknown {self._what} {name!r}; known: {', '.join(sorted(self._targets))}")
            if name not in self._loaded:
                self._loaded[name] = cast("T", load_object(self._targets[name]))
            return self._loaded[name]

    def __iter__(self) -> Iterator[T]:
        return (self.load(name) for name in self.names())
