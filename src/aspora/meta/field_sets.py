"""Sets of fields of an object, and what can be done with them: collect, compare, merge, remove. Pure.

A path is a tuple of elements as they stand in `managedFields`: `f:NAME` for a field or a map's key, and for items of
lists that are not atomic `k:{"uid":"…"}` (by key) or `v:"…"` (by value). Maps are granular; a list is one value unless
a `ListRule` says otherwise. Every leaf is a member; so is each item of such a list, beside its own fields.

Source: Kubernetes KEP-555 (server-side apply), FieldsV1.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard, cast

Path = tuple[str, ...]
Fields = frozenset[Path]

NOTHING: Fields = frozenset()
_ITSELF = "."
_SCALARS = frozenset({str, int, bool, float, type(None)})


@dataclass(frozen=True, slots=True)
class ListRule:
    """How the items of one list are told apart.

    Attributes:
        keys: Fields of an item that name it; none for a set of plain values, each of which names itself.
    """

    keys: tuple[str, ...] = ()


Rules = Mapping[Path, ListRule]
"""By the list's path, items of lists around it left out."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between two values.

    Attributes:
        changed: Members of the newer that are new or have another value, and what became a map or stopped being one.
        removed: What the older had and the newer has not, each with all below it.
        emptied: Of the changed, maps and lists that lost their last part; who owned one owned it empty, as it is.
    """

    changed: Fields
    removed: Fields
    emptied: Fields

    def touches(self, fields: Fields) -> Fields:
        """Those of the fields that did not come through unchanged."""
        changed = self.changed - self.emptied
        return frozenset(path for path in fields if path in changed or is_below(path, self.removed))


def is_below(path: Path, roots: Fields) -> bool:
    """Whether the path is one of the roots or lies below one."""
    return any(path[:length] in roots for length in range(1, len(path) + 1)) if roots else False


def prefixes(fields: Iterable[Path]) -> Fields:
    """All paths that lead to the fields, these included."""
    return frozenset(path[:length] for path in fields for length in range(1, len(path) + 1))


@dataclass(frozen=True, slots=True)
class FieldAlgebra:
    """The operations under one set of list rules."""

    rules: Rules

    def fields_of(self, value: Any, at: Path = ()) -> Fields:
        """All members of a value."""
        found: set[Path] = set()
        self._collect(value, at, found)
        return frozenset(found)

    def compare(self, old: Any, new: Any) -> Changes:
        """What changed from one value to the other."""
        changed: set[Path] = set()
        removed: set[Path] = set()
        emptied: set[Path] = set()
        self._compare(old, new, (), changed, removed, emptied)
        return Changes(frozenset(changed | emptied), frozenset(removed), frozenset(emptied))

    def merge(self, live: Any, given: Any, at: Path = ()) -> Any:
        """The live value with everything that is given put over it; neither is changed."""
        mine, theirs = self._children(live, at), self._children(given, at)
        if mine is None or theirs is None or _is_map(live) is not _is_map(given):
            return given
        merged = dict(mine)
        for element, child in theirs.items():
            merged[element] = self.merge(mine[element], child, (*at, element)) if element in mine else child
        return _rebuilt(given, merged)

    def without(self, value: Any, doomed: Fields, *, kept: Fields, at: Path = ()) -> Any:
        """The value without the doomed members; a map or list that this empties goes too, but for the outermost ones.

        Args:
            value: What to remove from.
            doomed: Members to remove, each with all below it.
            kept: What must stay all the same.
            at: Where the value stands.
        """
        return self._without(value, at, doomed, kept, prefixes(kept))

    def _without(self, value: Any, at: Path, doomed: Fields, kept: Fields, ways: Fields) -> Any:
        children = self._children(value, at)
        if not children:
            return value
        left: dict[str, Any] = {}
        names = self._names_of(at)
        for element, child in children.items():
            path = (*at, element)
            if path in doomed and path not in ways and element not in names:
                continue
            rest = self._without(child, path, doomed, kept, ways)
            is_emptied = _is_empty(rest) and not _is_empty(child)
            if not is_emptied or path in kept or len(path) == 1:
                left[element] = rest
        return _rebuilt(value, left)

    def _collect(self, value: Any, at: Path, found: set[Path]) -> None:
        children = self._children(value, at)
        if not children:
            if at:
                found.add(at)
            return
        for element, child in children.items():
            path = (*at, element)
            if type(child) in _SCALARS:
                found.add(path)
                continue
            if not _is_map(value):
                found.add(path)
            self._collect(child, path, found)

    def _compare(
        self, old: Any, new: Any, at: Path, changed: set[Path], removed: set[Path], emptied: set[Path]
    ) -> None:
        before, after = self._children(old, at), self._children(new, at)
        same_sort = _is_map(old) is _is_map(new)
        if before is None or after is None or not same_sort:
            if not _same(old, new):
                changed.add(at)
                self._collect(new, at, changed)
                removed.update((*at, element) for element in before or ())
            return
        if before and not after and at:
            emptied.add(at)
        removed.update((*at, element) for element in before if element not in after)
        for element, child in after.items():
            path = (*at, element)
            if element in before:
                if not _same(before[element], child):  # As nearly all of a changed object is.
                    self._compare(before[element], child, path, changed, removed, emptied)
                continue
            if not _is_map(new):
                changed.add(path)
            self._collect(child, path, changed)

    def _names_of(self, at: Path) -> frozenset[str]:
        """The fields that name the list item there: without them nobody could tell what is left of it."""
        rule = self._rule(at[:-1]) if at and at[-1].startswith("k:") else None
        return frozenset(f"f:{key}" for key in rule.keys) if rule else frozenset()

    def _rule(self, at: Path) -> ListRule | None:
        return self.rules.get(tuple(part for part in at if part.startswith("f:")))

    def _children(self, value: Any, at: Path) -> dict[str, Any] | None:
        """The parts that can be owned apart, by element; None for what is one value."""
        if _is_map(value):
            return {f"f:{key}": child for key, child in value.items()}
        if not isinstance(value, list):
            return None
        rule = self._rule(at)
        return None if rule is None else _items(cast("list[Any]", value), rule)


def _items(items: Sequence[Any], rule: ListRule) -> dict[str, Any] | None:
    """Items by their name; None when they can't be told apart, which makes the list one value."""
    found: dict[str, Any] = {}
    for item in items:
        element = _element(item, rule)
        if element is None or element in found:
            return None
        found[element] = item
    return found


def _element(item: Any, rule: ListRule) -> str | None:
    if not rule.keys:
        return None if isinstance(item, (Mapping, list)) else f"v:{_text(item)}"
    if not isinstance(item, Mapping) or any(key not in item for key in rule.keys):
        return None
    named = cast("Mapping[str, Any]", item)
    return f"k:{_text({key: named[key] for key in rule.keys})}"


def _rebuilt(like: Any, children: Mapping[str, Any]) -> Any:
    """A map or list of these parts."""
    if _is_map(like):
        return {element[2:]: child for element, child in children.items()}
    return list(children.values())


def _is_map(value: Any) -> TypeGuard[Mapping[str, Any]]:
    # Nearly always a dict, and asking for that first takes a tenth of the time.
    return isinstance(value, (dict, Mapping))


def _is_empty(value: Any) -> bool:
    return isinstance(value, (Mapping, list)) and not value


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: `1` is not `true`, though Python says so."""
    if one is other:
        return True
    return type(one) is type(other) and one == other and (type(one) in _SCALARS or _text(one) == _text(other))


_text = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode


def to_tree(fields: Fields) -> dict[str, Any]:
    """The set as it stands in `managedFields`: `{"f:spec": {"f:role": {}}}`; `.` marks an item beside its fields."""
    tree: dict[str, Any] = {}
    ways = prefixes(path[:-1] for path in fields if len(path) > 1)
    for path in sorted(fields):
        node = tree
        for element in path:
            node = node.setdefault(element, {})
        if path in ways:
            node[_ITSELF] = {}
    return tree


def from_tree(tree: Mapping[str, Any]) -> Fields:
    """The set that a tree stands for; what can't stand in one is left out."""
    found: set[Path] = set()
    waiting: list[tuple[Path, Mapping[str, Any]]] = [((), tree)]
    while waiting:
        at, node = waiting.pop()
        if at and (not node or _ITSELF in node):
            found.add(at)
        waiting += [
            ((*at, element), cast("Mapping[str, Any]", child))
            for element, child in node.items()
            if element[:2] in {"f:", "k:", "v:"} and isinstance(child, Mapping)
        ]
    return frozenset(found)


def shown(path: Path) -> str:
    """A path as error messages have it: `metadata.labels.team`, `metadata.finalizers["x"]`."""
    text = ""
    for element in path:
        sort, name = element[:2], element[2:]
        text += f"[{name}]" if sort != "f:" else f".{name}" if text else name
    return text
