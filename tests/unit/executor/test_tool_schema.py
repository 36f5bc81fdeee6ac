"""Our checker says the same as the reference implementation, and refuses what it can't check."""

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aspora.executor.tool_schema import MAX_PROBLEMS, UnsupportedSchema, compile_schema

scalars = (
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from([0.5, 1.0, -2.5]) | st.text("ab1", max_size=4)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3)
)
leaf_schemas = st.one_of(
    st.booleans(),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null"])}
    ),
    st.fixed_dictionaries({"type": st.lists(st.sampled_from(["string", "integer", "null"]), min_size=1, unique=True)}),
    st.fixed_dictionaries({"enum": st.lists(scalars, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"const": scalars}),
    st.fixed_dictionaries({"minimum": st.integers(-3, 3)}, optional={"exclusiveMaximum": st.integers(-3, 3)}),
    st.fixed_dictionaries({"maximum": st.integers(-3, 3)}, optional={"exclusiveMinimum": st.integers(-3, 3)}),
    st.fixed_dictionaries({"minLength": st.integers(0, 3)}, optional={"maxLength": st.integers(0, 3)}),
    st.fixed_dictionaries({"pattern": st.sampled_from(["^a", "b$", "1+"])}),
    st.just({"$ref": "#/$defs/named"}),
)
schemas = st.recursive(
    leaf_schemas,
    lambda inner: st.one_of(
        st.fixed_dictionaries(
            {"properties": st.dictionaries(st.sampled_from("xyz"), inner, max_size=2)},
            optional={"required": st.lists(st.sampled_from("xyz"), max_size=2), "additionalProperties": inner},
        ),
        st.fixed_dictionaries(
            {"items": inner}, optional={"minItems": st.integers(0, 2), "maxItems": st.integers(0, 2)}
        ),
        *(
            st.fixed_dictionaries({word: st.lists(inner, min_size=1, max_size=2)})
            for word in ("anyOf", "oneOf", "allOf")
        ),
    ),
    max_leaves=6,
)


@given(schema=schemas, value=values)
def test_agrees_with_the_reference_implementation(schema: Any, value: Any) -> None:
    root: dict[str, Any] = {"allOf": [schema], "$defs": {"named": {"type": "string", "minLength": 1}}}
    expected = jsonschema.Draft202012Validator(root).is_valid(value)
    assert (compile_schema(root)(value) == []) is expected


def test_names_every_problem_with_its_path() -> None:
    check = compile_schema(
        {
            "type": "object",
            "properties": {"path": {"type": "string"}, "lines": {"type": "array", "items": {"minimum": 1}}},
            "required": ["path"],
            "additionalProperties": False,
        }
    )
    assert check({"lines": [2, 0], "pth": "x"}) == [
        "arguments.lines[1]: must be at least 1",
        "arguments.path: is required",
        "arguments.pth: is not allowed; known: lines, path",
    ]
    assert check([]) == ["arguments: must be of type object"]


def test_stops_after_a_handful_of_problems() -> None:
    assert len(compile_schema({"items": {"type": "string"}})([1] * 100)) == MAX_PROBLEMS


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "object", "dependentRequired": {}}, "dependentRequired"),
        ({"type": "text"}, "type 'text' is unknown"),
        ({"$ref": "#"}, "refers to itself"),
        ({"$ref": "#/$defs/gone"}, "leads nowhere"),
        ({"$ref": "https://example.com/s.json"}, "leaves the schema"),
        ({"pattern": "(?<=a)b"}, "pattern"),
        ({"pattern": "("}, "pattern"),
        ({"minimum": "3"}, "a bound must be a number"),
        ({"anyOf": []}, "at least one schema"),
        ({"properties": {"x": 7}}, "not int"),
    ],
)
def test_refuses_a_schema_it_cannot_check(schema: dict[str, Any], says: str) -> None:
    with pytest.raises(UnsupportedSchema, match=says):
        compile_schema(schema)
