"""Label and field selectors: parsed once, matched against plain mappings.

`team=fraud,tier in (gold,silver),!legacy` for labels; `metadata.name=x,spec.role!=field` for fields.
Source: Kubernetes label and field selector syntax.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from aspora.meta.errors import BadRequest
from aspora.meta.names import check_labels

Operator = Literal["=", "!=", "in", "notin", "exists", "!"]
Selected = Literal["label", "field"]

_SET = re.compile(r"(?P<key>[^\s=!,()]+)\s+(?P<op>in|notin)\s*\((?P<values>[^()]*)\)")
_EQUALS = re.compile(r"(?P<key>[^\s=!,()]+)\s*(?P<op>==|=|!=)\s*(?P<value>[^,()]*)")
_EXISTS = re.compile(r"(?P<op>!?)\s*(?P<key>[^\s=!,()]+)")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term of a selector; `values` is empty for `exists` and `!`."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, value: str | None) -> bool:
        """Whether a value (None when the key is absent) satisfies the term."""
        match self.operator:
            case "=" | "in":
                return value is not None and value in self.values
            case "!=" | "notin":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None


def _split(text: str) -> list[str]:
    """Split at commas outside parentheses; nothing but space is no term at all."""
    return [part.strip() for part in re.split(r",(?![^(]*\))", text)] if text.strip() else []


def _parse_term(term: str, *, what: Selected) -> Requirement:
    found = _read_term(term)
    problem = "" if found is None else _label_problem(found) if what == "label" else _field_problem(found)
    if found is None or problem:
        raise BadRequest(
            f"{what} selector has a term that can't be read: {term[:80]!r}{problem and ': ' + problem}; "
            "write key=value, key!=value, 'key in (a,b)', key or !key"
        )
    return found


def _label_problem(requirement: Requirement) -> str:
    """What no label can be is a slip of the pen, which must not select nothing, or everything."""
    labels = [(requirement.key, value) for value in requirement.values or ("",)]
    return next((str(error) for label in labels for error in check_labels([label], field="labels")), "")


def _field_problem(requirement: Requirement) -> str:
    """Any path can be asked for; which fields there are, only the kind knows."""
    return "a value begins with '='" if any(value.startswith("=") for value in requirement.values) else ""


def _read_term(term: str) -> Requirement | None:
    if m := _SET.fullmatch(term):
        values = tuple(v.strip() for v in m["values"].split(","))
        return Requirement(m["key"], "in" if m["op"] == "in" else "notin", values)
    if m := _EQUALS.fullmatch(term):
        return Requirement(m["key"], "!=" if m["op"] == "!=" else "=", (m["value"].strip(),))
    if m := _EXISTS.fullmatch(term):
        return Requirement(m["key"], "!" if m["op"] else "exists")
    return None


def parse_selector(text: str, *, what: Selected = "label") -> tuple[Requirement, ...]:
    """Parse a selector; an empty text selects everything.

    Raises:
        BadRequest: A term is malformed, or asks for what no label or field can be.
    """
    return tuple(_parse_term(term, what=what) for term in _split(text))


def matches_labels(requirements: tuple[Requirement, ...], labels: Mapping[str, str]) -> bool:
    """Whether labels satisfy every term."""
    return all(r.matches(labels.get(r.key)) for r in requirements)


def field_value(obj: Mapping[str, Any], path: str) -> str | None:
    """The scalar at a dotted wire path, as text (`true`/`false` for booleans); None when absent."""
    value: Any = obj
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None or isinstance(value, (Mapping, list)) else str(value)


def matches_fields(requirements: tuple[Requirement, ...], obj: Mapping[str, Any]) -> bool:
    """Whether an object's wire form satisfies every term."""
    return all(r.matches(field_value(obj, r.key)) for r in requirements)
