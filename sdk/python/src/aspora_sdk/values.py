"""Immutable value objects without the cost of importing `dataclasses`, and whether a value can travel as JSON."""

from __future__ import annotations

from math import isfinite

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Value:
    """An immutable object whose fields are its `__slots__`; subclasses call `_assign` once, in `__init__`."""

    __slots__ = ()

    def _assign(self, **fields: Any) -> None:
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: {name!r} cannot be set; make a new one")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: {name!r} cannot be deleted")

    def __setstate__(self, state: tuple[None, dict[str, Any]]) -> None:
        self._assign(**state[1])

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # pyright: ignore[reportAssignmentType] - fields hold dicts

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__ if not name.startswith("_"))
        return f"{type(self).__name__}({fields})"


def json_problem(value: object, path: str) -> str | None:
    """Say what keeps `value` from being JSON, or None; `path` names the value in the answer."""
    try:
        return _problem(value, path)
    except RecursionError:
        return f"{path} contains itself, or is nested too deeply"


def _problem(value: object, path: str) -> str | None:
    if value is None or isinstance(value, bool | int):
        return None
    if isinstance(value, str):
        return _text_problem(value, path)
    if isinstance(value, float):
        return None if isfinite(value) else f"{path} is {value!r}, which JSON does not have"
    if isinstance(value, dict):
        return next((found for key, item in value.items() if (found := _member_problem(key, item, path))), None)
    if isinstance(value, list | tuple):
        return next((found for index, item in enumerate(value) if (found := _problem(item, f"{path}[{index}]"))), None)
    return (
        f"{path} is a {type(value).__name__}, which JSON does not have; use text, numbers, booleans, lists and objects"
    )


def _member_problem(key: object, item: object, path: str) -> str | None:
    if not isinstance(key, str):
        return f"{path} has the key {key!r}; keys must be text"
    return _text_problem(key, f"a key of {path}") or _problem(item, f"{path}.{key}")


def _text_problem(value: str, path: str) -> str | None:
    if value.isascii():
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return f"{path} is {value!r}, which is not valid Unicode text (a lone surrogate)"
    return None
