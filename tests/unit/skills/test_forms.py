import pytest

from aspora.skills import forms
from aspora.skills.forms import Form, WrongForm
from aspora.skills.problems import Report
from aspora.skills.yaml_nodes import Node, parse_yaml


def node(text: str) -> Node:
    document = parse_yaml(text, shown="f", report=Report())
    assert document is not None
    assert document.root is not None
    return document.root


@pytest.mark.parametrize(
    ("form", "text", "value"),
    [
        (forms.TEXT, "no", "no"),
        (forms.TEXT, "1.10", "1.10"),
        (forms.OPTIONAL_TEXT, "none", ""),
        (forms.OPTIONAL_TEXT, "~", ""),
        (forms.OPTIONAL_TEXT, "gpt-4o", "gpt-4o"),
        (forms.MILLISECONDS, "800ms", 800),
        (forms.MILLISECONDS, "1.5s", 1500),
        (forms.MILLISECONDS, "2", 2000),
        (forms.MILLISECONDS, "2m", 120_000),
        (forms.PERCENT, "10", 1000),
        (forms.PERCENT, "2.5%", 250),
        (forms.SHARE, "5%", 500),
        (forms.SHARE, "0.05", 500),
        (forms.USD, "0.10", 100_000),
        (forms.ACCESSES, "[a, 'b:read', {name: c, access: write}]", [
            {"name": "a"}, {"name": "b", "access": "read"}, {"name": "c", "access": "write"},
        ]),
        (forms.FILTER, "severity=high", "severity=high"),
        (forms.FILTER, "{a: b, c: no}", "a=b,c=no"),
        (forms.JSON_MAP, "{a: 1, b: [true, no]}", {"a": 1, "b": [True, "no"]}),
    ],
)  # fmt: skip
def test_values(form: Form, text: str, value: object) -> None:
    assert form.read(node(text)) == value


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (forms.TEXT, "[a]"),
        (forms.BOOL, "'true'"),
        (forms.BOOL, "1"),
        (forms.INT, "1.0"),
        (forms.INT, "true"),
        (forms.MILLISECONDS, "soon"),
        (forms.MILLISECONDS, "-1s"),
        (forms.PERCENT, "ten"),
        (forms.TEXTS, "a"),
        (forms.TEXTS, "[[a]]"),
        (forms.JSON_MAP, "a"),
        (forms.USD, "[1]"),
    ],
)
def test_refusals(form: Form, text: str) -> None:
    with pytest.raises(WrongForm):
        form.read(node(text))


def test_examples_are_examples() -> None:
    for form in vars(forms).values():
        if isinstance(form, Form):
            form.read(node(form.example))
