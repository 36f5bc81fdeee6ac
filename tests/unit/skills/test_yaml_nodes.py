import pytest
from hypothesis import given
from hypothesis import strategies as st

from aspora.skills.problems import Report
from aspora.skills.yaml_nodes import MAX_DEPTH, json_value, parse_yaml


def parse(text: str, *, first_line: int = 1):
    report = Report()
    document = parse_yaml(text, shown="f.yaml", report=report, first_line=first_line)
    return document, [str(e) for e in report.errors]


def value(text: str):
    document, errors = parse(text)
    assert not errors, errors
    assert document is not None
    assert document.root is not None
    return json_value(document.root)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1", {"a": 1}),
        ("a: no\nb: yes\nc: on", {"a": "no", "b": "yes", "c": "on"}),
        ("a: true\nb: False", {"a": True, "b": False}),
        ("a: '1'\nb: \"true\"", {"a": "1", "b": "true"}),
        ("a: 1.10\nb: 1e3", {"a": 1.1, "b": 1000.0}),
        ("a: 007\nb: 0x10\nc: 1_000\nd: 12:30:00", {"a": "007", "b": "0x10", "c": "1_000", "d": "12:30:00"}),
        ("a: 2024-01-31\nb: .nan\nc: .inf\nd: 1e999", {"a": "2024-01-31", "b": ".nan", "c": ".inf", "d": "1e999"}),
        ("a: ~\nb:\nc: null\nd: ''", {"a": None, "b": None, "c": None, "d": ""}),
        ("a: [x, {b: c}]\nd: |\n  one\n  two\n", {"a": ["x", {"b": "c"}], "d": "one\ntwo\n"}),
        ("- &a b\n- *a", ["b", "b"]),
    ],
)
def test_values(text: str, expected: object) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3", "f.yaml:3:1: the key 'a' comes twice: in line 1 and here; keep one"),
        ("a:\n  b: 1\n  b: 2", "f.yaml:3:3: the key 'b' comes twice: in line 2 and here; keep one"),
        ("a:\n\tb: 1", "a tab can't indent, use spaces"),
        ("a: b: c", "f.yaml:1:5: is not YAML: mapping values are not allowed in this context; put quotes around"),
        ("a: %x", "put quotes around a value that begins with a special character"),
        ("a: !!python/object/apply:os.system [x]", "the tag 'tag:yaml.org,2002:python/object/apply:os.system'"),
        ("a: !include x", "the tag '!include' is not allowed"),
        ("a: &x [*x]", "*x names no value that is complete before it"),
        ("a: *y", "*y names no value"),
        ("a: 1\n---\nb: 2", "f.yaml:2:1: a second document begins here"),
        ("<<: {a: 1}", "merge keys"),
        ("? [a, b]\n: c", "a key must be plain text"),
        ("a: 'x", "is not YAML"),
        ("a: \x07", "control characters"),
        ("[" * 100_000, f"is nested deeper than {MAX_DEPTH} levels"),
        ("{a: " * 50, f"is nested deeper than {MAX_DEPTH} levels"),
    ],
)
def test_what_is_refused_says_where_and_what_would_do(text: str, expected: str) -> None:
    _, errors = parse(text)
    assert any(expected in error for error in errors), errors


def test_lines_count_from_where_the_text_stands_in_its_file() -> None:
    _, errors = parse("a: 1\na: 2", first_line=10)
    assert errors == ["f.yaml:11:1: the key 'a' comes twice: in line 10 and here; keep one"]


def test_a_bomb_of_aliases_stops_before_it_grows() -> None:
    levels = "".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]\n" for i in range(1, 10))
    document, errors = parse("l0: &l0 [x, x, x, x, x, x, x, x, x]\n" + levels)
    assert document is None
    assert any("holds more than" in error for error in errors)


def test_a_bomb_of_one_long_text_stops_too() -> None:
    document, errors = parse("a: &a " + "x" * 900_000 + "\nb: [" + ", ".join(["*a"] * 50) + "]")
    assert document is None
    assert any("holds more than" in error for error in errors)


def test_many_keys_are_read_in_linear_time() -> None:
    assert len(value("\n".join(f"k{i}: {i}" for i in range(9_900)))) == 9_900


@given(st.text(max_size=300))
def test_any_text_is_either_read_or_refused_with_a_reason(text: str) -> None:
    document, errors = parse(text)
    assert document is not None or errors


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text("abc :#-'\"", max_size=8),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=4),
        max_leaves=12,
    )
)
def test_json_is_yaml(data: object) -> None:
    import json

    assert value(json.dumps(data)) == data
