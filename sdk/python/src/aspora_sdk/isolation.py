"""A real job's imports inside a process that has other modules.

The skill's own modules are swapped in while it runs, and out afterwards.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder

from aspora_sdk.errors import HandlerLoadError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

SHARED = "shared"


class _SharedFinder:
    """Finds the domain's `shared` package, which an artifact has at its root, and nothing else of the domain."""

    def __init__(self, domain_folder: str) -> None:
        self._path = [domain_folder]

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The import system's question."""
        return PathFinder.find_spec(name, self._path, target) if name == SHARED else None


class JobImports:
    """A context in which `import`, the working directory and `sys.path` are those of the skill's own job.

    Args:
        folder: The skill's folder; its parent is the domain's, whose `shared/` counts as the skill's.
        code_folder: The entry point's folder.

    Raises:
        HandlerLoadError: Both the skill and its domain have a `shared` folder.
    """

    def __init__(self, folder: str, code_folder: str) -> None:
        domain_folder = os.path.dirname(folder)
        has_shared = os.path.isdir(os.path.join(domain_folder, SHARED))
        if has_shared and os.path.exists(os.path.join(folder, SHARED)):
            raise HandlerLoadError(
                f"both the skill {folder!r} and its domain have a folder {SHARED!r}; rename the skill's"
            )
        self._folder = folder
        self._path = [code_folder, folder]
        self._finders = [_SharedFinder(domain_folder)] if has_shared else []
        self._modules: dict[str, ModuleType] = {}

    def __enter__(self) -> None:
        self._names = self._own_names()
        self._others = self._take_modules()
        self._before = (sys.path[:], sys.meta_path[:], sys.dont_write_bytecode, os.getcwd())
        sys.modules.update(self._modules)
        sys.path[:0] = self._path
        sys.meta_path[:0] = self._finders
        sys.dont_write_bytecode = True
        os.chdir(self._folder)

    def __exit__(self, *_: object) -> None:
        sys.path[:], sys.meta_path[:], sys.dont_write_bytecode, directory = self._before
        os.chdir(directory)
        self._modules = self._take_modules()
        sys.modules.update(self._others)

    def _take_modules(self) -> dict[str, ModuleType]:
        return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in self._names}

    def _own_names(self) -> set[str]:
        """The top-level names that the skill's files define; Python's own are left alone."""
        names = {SHARED}
        for folder in self._path:
            for entry in os.scandir(folder):
                if entry.is_file() and entry.name.endswith(".py"):
                    names.add(entry.name[:-3])
                elif entry.is_dir() and any(inner.endswith(".py") for inner in os.listdir(entry.path)):
                    names.add(entry.name)
        return names - sys.stdlib_module_names
