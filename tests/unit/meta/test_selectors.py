import pytest

from aspora.meta.errors import BadRequest
from aspora.meta.selectors import matches_fields, matches_labels, parse_selector

LABELS = {"team": "fraud", "tier": "gold"}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("", True),
        ("team=fraud", True),
        ("team==fraud,tier!=silver", True),
        ("team!=fraud", False),
        ("tier in (gold, silver)", True),
        ("tier notin (gold,silver)", False),
        ("missing notin (a)", True),
        ("missing!=a", True),
        ("team", True),
        ("!team", False),
        ("!missing,team", True),
    ],
)
def test_labels(selector: str, expected: bool) -> None:
    assert matches_labels(parse_selector(selector), LABELS) is expected


@pytest.mark.parametrize("selector", ["a=b=c(", "in (a)", "a in", "=x", "a b", "%%%", "a===b", "a=b,,c", ",", "a=b c"])
def test_malformed(selector: str) -> None:
    with pytest.raises(BadRequest, match="label selector"):
        parse_selector(selector)


@pytest.mark.parametrize("selector", ["a===b", "a in (=b)", ",", "a b"])
def test_malformed_for_fields(selector: str) -> None:
    with pytest.raises(BadRequest, match="field selector"):
        parse_selector(selector, what="field")


def test_a_fields_value_is_free_text() -> None:
    [term] = parse_selector("spec.digest=sha256:a/b c=d", what="field")
    assert (term.key, term.values) == ("spec.digest", ("sha256:a/b c=d",))


def test_fields() -> None:
    obj = {"metadata": {"name": "x"}, "spec": {"on": True, "n": 3, "list": [1]}}
    assert matches_fields(parse_selector("metadata.name=x,spec.on=true,spec.n=3"), obj)
    assert not matches_fields(parse_selector("spec.list"), obj)
    assert matches_fields(parse_selector("spec.absent!=1"), obj)
