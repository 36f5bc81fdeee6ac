"""From an entry point to the function that handles jobs."""

from __future__ import annotations

import os
import sys

from aspora_sdk.errors import HandlerLoadError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType
    from typing import Any, TypeAlias, TypeVar

    from aspora_sdk.context import SkillContext
    from aspora_sdk.result import SkillResult

    Handler: TypeAlias = Callable[[SkillContext], SkillResult | Awaitable[SkillResult]]
    HandlerT = TypeVar("HandlerT", bound=Callable[[SkillContext], SkillResult | Awaitable[SkillResult]])

MARK = "__aspora_skill_handler__"
new_module: Callable[[str], ModuleType] = type(sys)


def skill_handler(function: HandlerT) -> HandlerT:
    """Mark the function that handles this skill's jobs; it stays a plain function."""
    if not callable(function):
        raise TypeError(f"@skill_handler marks a function, not {function!r}")
    setattr(function, MARK, True)
    return function


def resolve_entry_point(root: str, entry_point: str) -> str:
    """The entry point's real path.

    Raises:
        HandlerLoadError: It is not a file inside `root`.
    """
    real_root = os.path.realpath(root)
    path = os.path.realpath(os.path.join(real_root, entry_point))
    if not path.startswith(real_root + os.sep):
        raise HandlerLoadError(f"entry point {entry_point!r} leaves the skill's folder; name a file inside it")
    if not os.path.isfile(path):
        raise HandlerLoadError(
            f"entry point {entry_point!r} is not a file; set runtime.entry_point to the handler's path"
        )
    return path


def load_handler(path: str) -> Handler:
    """Run the module at `path` and return its handler. `sys.path` must be ready.

    Raises:
        HandlerLoadError: No handler in it, more than one, or its name hides a module of Python's own.
        BaseException: Whatever the module itself raises.
    """
    name = os.path.splitext(os.path.basename(path))[0]
    if name in sys.modules or name in sys.stdlib_module_names:
        raise HandlerLoadError(f"the entry point's name {name!r} is that of a module of Python's own; rename the file")
    module = new_module(name)
    module.__file__ = path
    sys.modules[name] = module
    with open(path, "rb") as source:
        exec(compile(source.read(), path, "exec"), module.__dict__)
    return _find(module)


def _find(module: ModuleType) -> Handler:
    marked: dict[int, Any] = {
        id(value): value for value in vars(module).values() if getattr(value, MARK, False) is True
    }
    if len(marked) > 1:
        names = sorted(str(getattr(value, "__name__", value)) for value in marked.values())
        raise HandlerLoadError(f"more than one @skill_handler in {module.__name__!r}: {', '.join(names)}; keep one")
    found = next(iter(marked.values()), None) or getattr(module, "handler", None)
    if not callable(found):
        raise HandlerLoadError(
            f"no handler in {module.__name__!r}: mark a function with @skill_handler or name it 'handler'"
        )
    return found  # pyright: ignore[reportReturnType] - what it takes and gives is seen when it runs
