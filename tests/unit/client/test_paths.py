import pytest

from aspora.client.paths import list_query, object_path, target, watch_query, write_query


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (object_path("models"), "/api/v1/models"),
        (object_path("models", "gpt-4o"), "/api/v1/models/gpt-4o"),
        (object_path("skills", domain="ecm"), "/api/v1/domains/ecm/skills"),
        (object_path("skills", "x", domain="ecm", is_status=True), "/api/v1/domains/ecm/skills/x/status"),
        (object_path("skills", "../admin?x#y", domain="a/b"), "/api/v1/domains/a%2Fb/skills/..%2Fadmin%3Fx%23y"),
    ],
)
def test_paths(path: str, expected: str) -> None:
    assert path == expected


def test_queries_leave_out_what_is_not_given() -> None:
    assert list_query() == {}
    assert write_query() == {}
    assert write_query(dry_run=True, uid="u") == {"dryRun": "All", "uid": "u"}
    assert watch_query(since="5") == {"watch": "true", "resourceVersion": "5"}
    full = list_query(labels="a in (b,c)", fields="spec.x=ü&", limit=5, continue_token="t=")
    assert target("/p", full) == (
        "/p?labelSelector=a+in+%28b%2Cc%29&fieldSelector=spec.x%3D%C3%BC%26&continue=t%3D&limit=5"
    )
    assert target("/p", {}) == "/p"
