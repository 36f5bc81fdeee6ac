"""Fields that never leave: cut out of every answer, and kept when an object comes back without them."""

from collections.abc import Mapping, Sequence
from typing import Any

from aspora.apis.fields import require_field
from aspora.apis.kind import Kind
from aspora.meta.errors import BadRequest, NotFound
from aspora.meta.selectors import Requirement

Wire = Mapping[str, Any]


def mask(kind: Kind, obj: Wire) -> Wire:
    """The object without its hidden fields; the given one is left as it is."""
    for path in kind.hidden:
        obj = _without(obj, path.split("."))
    return obj


def restore(kind: Kind, old: Wire, new: Wire) -> Wire:
    """The new form with the hidden fields that its sender could not know."""
    for path in kind.hidden:
        new = _with_old(old, new, path.split("."))
    return new


def check_fields(kind: Kind, requirements: Sequence[Requirement]) -> None:
    """A selector must not become an oracle for what is hidden, nor select by what can't be there.

    Raises:
        BadRequest: A term asks about a hidden field, or about nothing that an object has.
    """
    for requirement in requirements:
        key = requirement.key
        if any(key == path or key.startswith(path + ".") or path.startswith(key + ".") for path in kind.hidden):
            raise BadRequest(f"field selector {key!r} is not possible: the field is never shown; choose another")
        if key.partition(".")[0] not in {"metadata", "spec", "status"} or "." not in key:
            raise BadRequest(f"field selector {key!r} is not possible: it must begin with metadata., spec. or status.")
        try:
            require_field(kind, key)
        except NotFound as e:
            raise BadRequest(f"field selector {key!r} is not possible: {e.message}") from None


def _without(obj: Wire, parts: Sequence[str]) -> Wire:
    head, rest = parts[0], parts[1:]
    if head not in obj:
        return obj
    if not rest:
        return {k: v for k, v in obj.items() if k != head}
    return {**obj, head: _without(obj[head], rest)} if isinstance(obj[head], Mapping) else obj


def _with_old(old: Wire, new: Wire, parts: Sequence[str]) -> Wire:
    head, rest = parts[0], parts[1:]
    if head not in old:
        return new
    if not rest:
        return new if head in new else {**new, head: old[head]}
    if not isinstance(old[head], Mapping) or not isinstance(new.get(head), Mapping):
        return new
    return {**new, head: _with_old(old[head], new[head], rest)}
