"""Expressions that people write: what can be used, and that none does harm."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aspora.rules.expressions import MAX_CHARACTERS, ExpressionInvalid, Language, ValueType

LANGUAGE = Language(
    {
        "task.type": ValueType.TEXT,
        "task.tokens": ValueType.WHOLE,
        "left": ValueType.NUMBER,
        "hard": ValueType.FLAG,
        "tools": ValueType.TEXTS,
    }
)
VALUES = {"task.type": "judging", "task.tokens": 5, "left": 0.5, "hard": True, "tools": ["read"]}


@pytest.mark.parametrize(
    ("text", "is_true"),
    [
        ("task.type == 'judging' && task.tokens < 6", True),
        ("task.type in ['routing', 'judging']", True),
        ("left < 0.1 || hard", True),
        ("tools.exists(t, t == 'read')", True),
        ("task.type.startsWith('x')", False),
    ],
)
def test_true_and_false(text: str, is_true: bool) -> None:
    verdict = LANGUAGE.compile(text).evaluate(VALUES)
    assert (verdict.is_true, verdict.problem) == (is_true, "")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("task.type ==", r"at column 13: Syntax error"),
        ("true &&\n nope", r"at line 2, column 2: undeclared reference to 'nope'"),
        ("task.tokens + 'a' == 1", "no matching overload"),
        ("task.tokens", r"'task.tokens' is int, not true or false"),
        ("x" * (MAX_CHARACTERS + 1), "has 2001 characters"),
        ("", "is no CEL expression"),
    ],
)
def test_what_can_t_be_used_says_where_and_why(text: str, says: str) -> None:
    with pytest.raises(ExpressionInvalid, match=says):
        LANGUAGE.compile(text)


@pytest.mark.parametrize("text", ["1 / (task.tokens - 5) == 1", "tools[3] == 'x'"])
def test_a_failure_is_a_verdict_not_a_crash(text: str) -> None:
    verdict = LANGUAGE.compile(text).evaluate(VALUES)
    assert not verdict.is_true
    assert verdict.problem


def test_a_missing_value_is_a_verdict_too() -> None:
    verdict = LANGUAGE.compile("hard").evaluate({})
    assert not verdict.is_true
    assert verdict.problem


@given(st.text(max_size=200))
def test_no_text_does_harm(text: str) -> None:
    with suppress(ExpressionInvalid):
        assert LANGUAGE.compile(text).evaluate(VALUES) is not None
