"""What a kind is: one value that tells the whole platform how to store, check, print and explain its objects.

A kind's file holds its spec and status models, its `validate`, its columns for `get` and its `describe`, and ends in
`KIND = Kind(...)`. One line in `apis/builtins.py` (or an entry point in the group `aspora.kinds`) makes it known.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import Any

from aspora.meta.errors import FieldError
from aspora.meta.objects import ApiModel, Object, ObjectStatus
from aspora.meta.selectors import field_value

Wire = Mapping[str, Any]
"""An object's JSON form."""


class Scope(Enum):
    """Where objects of a kind may live."""

    CLUSTER = "Cluster"
    DOMAIN = "Domain"
    EITHER = "Either"


OBJECT_VERBS = frozenset({"get", "list", "watch", "create", "update", "patch", "delete"})


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `get`.

    Attributes:
        name: Heading, upper case.
        value: A wire path (`spec.role`) or a function from the wire form to the cell's text; "" prints as empty.
        wide: Only with `-o wide`.
    """

    name: str
    value: str | Callable[[Wire], str]
    wide: bool = False

    def cell(self, obj: Wire) -> str:
        """The cell's text for one object."""
        return (field_value(obj, self.value) or "") if isinstance(self.value, str) else self.value(obj)


@dataclass(frozen=True, slots=True)
class Section:
    """A titled part of `describe`: lines of (label, text)."""

    title: str
    rows: tuple[tuple[str, str], ...]


def _nothing_wrong(_: Any) -> list[FieldError]:
    return []


def _any_change(_old: Any, _new: Any) -> list[FieldError]:
    return []


def _all_works(_: Wire) -> list[tuple[str, str]]:
    return []


def _no_sections(_: Wire) -> list[Section]:
    return []


@cache
def _object_of(spec: type[ApiModel], status: type[ObjectStatus]) -> type[Object[Any, Any]]:
    """Kept for good: pydantic forgets a model that nobody holds, and takes 30 ms to make it again."""
    return Object[spec, status]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object.

    Attributes:
        kind: CamelCase singular, as in manifests.
        plural: Lower-case plural, as in paths.
        scope: Cluster, Domain or Either.
        spec: Model of the desired state.
        status: Model of the observed state.
        short_names: Other words the CLI accepts.
        validate: Checks across fields; takes the typed object, returns every problem found.
        validate_update: Checks of a change; takes the old and the new typed object.
        immutable_spec: Whether an update may never change the spec (Revision).
        verbs: What the API answers; any other verb is `MethodNotAllowed`.
        columns: Columns of `get` between NAME and AGE.
        describe: Sections after the metadata.
        dotted_names: Whether names may hold dots (model aliases such as `gemini-2.0-flash`).
        hidden: Wire paths never sent to a caller (write-only values, hashes).
        inactive: Wire path of a spec field that does nothing yet → why; `apply` warns `Inactive` when it is set.
        inactive_values: Pairs of a wire path and why a value there does nothing, though its field works.
        converters: Steps from each older schema version to the next: the first from 1 to 2. Each is pure and takes and
            gives a whole wire form; it is never changed once it was released. Objects are read in the newest form and
            stored in it at their next write.
    """

    kind: str
    plural: str
    scope: Scope
    spec: type[ApiModel]
    status: type[ObjectStatus] = ObjectStatus
    short_names: tuple[str, ...] = ()
    validate: Callable[[Any], list[FieldError]] = _nothing_wrong
    validate_update: Callable[[Any, Any], list[FieldError]] = _any_change
    immutable_spec: bool = False
    verbs: frozenset[str] = OBJECT_VERBS
    columns: tuple[Column, ...] = ()
    describe: Callable[[Wire], Sequence[Section]] = _no_sections
    dotted_names: bool = False
    hidden: tuple[str, ...] = ()
    inactive: Mapping[str, str] = field(default_factory=dict[str, str])
    inactive_values: Callable[[Wire], Iterable[tuple[str, str]]] = _all_works
    converters: tuple[Callable[[Wire], Wire], ...] = ()

    @property
    def singular(self) -> str:
        """Lower-case singular, as people type it."""
        return self.kind.lower()

    @property
    def storage_version(self) -> int:
        """The schema version that objects are written in."""
        return 1 + len(self.converters)

    @property
    def model(self) -> type[Object[Any, Any]]:
        """The typed object of this kind."""
        return _object_of(self.spec, self.status)
