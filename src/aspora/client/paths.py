"""Where things are: paths and queries of the API. Pure; standard library alone, for the command line uses it too."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode

API_ROOT = "/api/v1"


def api_path(*parts: str) -> str:
    """The path of the parts below the root; what a part holds can't reach out of it."""
    return "/".join([API_ROOT, *(quote(part, safe=":") for part in parts)])


def object_path(plural: str, name: str = "", *, domain: str = "", is_status: bool = False) -> str:
    """The path of a kind's list, of one object, or of its status.

    Args:
        plural: As discovery names the kind.
        name: Empty for the list.
        domain: Empty for cluster-wide objects, or for the list of all domains.
        is_status: The object's `/status`.
    """
    parts = ["domains", domain, plural] if domain else [plural]
    parts += [name] if name else []
    parts += ["status"] if name and is_status else []
    return api_path(*parts)


def list_query(
    *, labels: str = "", fields: str = "", limit: int | None = None, continue_token: str | None = None
) -> dict[str, str]:
    """The query of a list."""
    query = {"labelSelector": labels, "fieldSelector": fields, "continue": continue_token or ""}
    return _given({**query, "limit": "" if limit is None else str(limit)})


def watch_query(*, since: str, labels: str = "", fields: str = "") -> dict[str, str]:
    """The query of a watch from a resource version on; with `since` empty all objects come first, as ADDED."""
    return _given({"watch": "true", "resourceVersion": since, "labelSelector": labels, "fieldSelector": fields})


def write_query(
    *,
    dry_run: bool = False,
    uid: str | None = None,
    resource_version: str | None = None,
    propagation: str | None = None,
) -> dict[str, str]:
    """The query of a write; `uid` and `resource_version` refuse to delete another object, or a later form of it."""
    query = {"dryRun": "All" if dry_run else "", "uid": uid or "", "resourceVersion": resource_version or ""}
    return _given({**query, "propagationPolicy": propagation or ""})


def apply_query(*, manager: str, force: bool = False, dry_run: bool = False) -> dict[str, str]:
    """The query of an apply by a field manager; `force` takes fields over from their owners."""
    return _given({"fieldManager": manager, "force": "true" if force else "", "dryRun": "All" if dry_run else ""})


def target(path: str, query: Mapping[str, str]) -> str:
    """Path and query as they stand in a request's first line."""
    return f"{path}?{urlencode(query)}" if query else path


def _given(query: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in query.items() if value}
