"""CEL expressions that are true or not.

Source: Common Expression Language, language definition; evaluated by cel-expr-python, its official implementation.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from cel_expr_python import cel

MAX_CHARACTERS = 2000


class ValueType(Enum):
    """What a variable holds."""

    TEXT = "string"
    WHOLE = "int"
    NUMBER = "double"
    FLAG = "bool"
    TEXTS = "list of string"


_TYPES: Mapping[ValueType, cel.Type] = {
    ValueType.TEXT: cel.Type.STRING,
    ValueType.WHOLE: cel.Type.INT,
    ValueType.NUMBER: cel.Type.DOUBLE,
    ValueType.FLAG: cel.Type.BOOL,
    ValueType.TEXTS: cel.Type.List(cel.Type.STRING),
}
_PLACE = re.compile(r"<input>:(\d+):(\d+): (.*)")


class ExpressionInvalid(ValueError):
    """An expression that can't be used; says where and why."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of an expression.

    Attributes:
        is_true: It is exactly true; whatever else came is not.
        problem: Why there is no value; "" when there is one.
    """

    is_true: bool
    problem: str = ""


class Expression:
    """One that was compiled."""

    def __init__(self, text: str, program: cel.Expression) -> None:
        self.text = text
        self._program = program

    def evaluate(self, values: Mapping[str, Any]) -> Verdict:
        """What it says of these values, one for each variable; it never raises."""
        try:
            value = self._program.eval(data=dict(values))
        except (RuntimeError, TypeError, ValueError) as error:
            return Verdict(is_true=False, problem=_first_line(str(error)))
        if value.type() in (cel.Type.ERROR, cel.Type.UNKNOWN):
            return Verdict(is_true=False, problem=_first_line(str(value.value())))
        return Verdict(is_true=value.value() is True)


class Language:
    """Expressions over some variables.

    Args:
        variables: Their names, dotted where they belong together, and types.
    """

    def __init__(self, variables: Mapping[str, ValueType]) -> None:
        self.variables = dict(variables)
        self._env = cel.NewEnv(variables={name: _TYPES[type_] for name, type_ in variables.items()})

    def compile(self, text: str) -> Expression:
        """Make it ready.

        Raises:
            ExpressionInvalid: It is too long, no CEL, names what there is not, or is not true or false.
        """
        if len(text) > MAX_CHARACTERS:
            raise ExpressionInvalid(f"has {len(text)} characters, the most is {MAX_CHARACTERS}; split the rule")
        try:
            program = self._env.compile(text)
        except RuntimeError as error:
            raise ExpressionInvalid(self._told(str(error))) from None
        if program.return_type() != cel.Type.BOOL:
            kind = program.return_type().name().lower()
            raise ExpressionInvalid(f"{text[:80]!r} is {kind}, not true or false; compare it with something")
        return Expression(text, program)

    def _told(self, message: str) -> str:
        found = _PLACE.search(message)
        if found is None:
            return f"is no CEL expression: {_first_line(message)}; variables: {', '.join(self.variables)}"
        line, column, why = found.groups()
        where = f"column {column}" if line == "1" else f"line {line}, column {column}"
        return f"is no CEL expression at {where}: {why[:200]}; variables: {', '.join(self.variables)}"


def _first_line(text: str) -> str:
    return text.partition("\n")[0][:200]
