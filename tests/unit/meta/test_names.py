import pytest

from aspora.meta.names import check_labels, check_name, did_you_mean, nearest


@pytest.mark.parametrize("name", ["a", "order-details", "x9", "a" * 63])
def test_good_names(name: str) -> None:
    assert check_name(name) == []


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a_b", "a.b", "a" * 64, "a/b", "ä", "a\n"])
def test_bad_names(name: str) -> None:
    assert len(check_name(name)) == 1


def test_dots_only_where_allowed() -> None:
    assert check_name("gemini-2.0-flash", dots=True) == []
    assert check_name("gemini-2.0-flash") != []


def test_labels() -> None:
    assert check_labels([("aspora.dev/skill", "x"), ("team", "")], field="metadata.labels") == []
    assert check_labels([(f"k{i}", "") for i in range(64)], field="metadata.labels") == []
    [error] = check_labels([(f"k{i}", "") for i in range(65)], field="metadata.labels")
    assert (error.field, error.message) == ("metadata.labels", "65 labels; at most 64")
    errors = check_labels([("bad key", "x"), ("ok", "no spaces")], field="metadata.labels")
    assert [e.field for e in errors] == ["metadata.labels.bad key", "metadata.labels.ok"]


def test_nearest_sees_through_case_and_separators() -> None:
    assert nearest("max_tokens", ["maxTokens", "timeout"]) == "maxTokens"
    assert nearest("temprature", ["temperature", "timeout"]) == "temperature"
    assert nearest("zzz", ["temperature"]) is None
    assert did_you_mean("zzz", ["b", "a"]) == "; known: a, b"
