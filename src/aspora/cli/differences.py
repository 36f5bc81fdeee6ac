"""What applying would change, as unified diffs: of an object's YAML, and of the files of its artifact."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from aspora.cli.applying import Applied, Wanted, comparable
from aspora.cli.printing import as_yaml
from aspora.cli.rest import Rest
from aspora.client.paths import object_path
from aspora.meta.errors import NotFound
from aspora.skills import read_archive

MAX_SHOWN_BYTES = 256 * 1024
"""Larger files are only said to differ."""

Wire = Mapping[str, Any]


def object_difference(applied: Applied, name: str) -> Iterator[str]:
    """Lines of the diff between the object as it is and as it would be; none when both say the same."""
    after = comparable(applied.object)
    before = as_yaml(_ordered(comparable(applied.before), after), yaml.safe_dump) if applied.before else ""
    return _diff(before, as_yaml(after, yaml.safe_dump), f"server/{name}", f"wanted/{name}")


def _ordered(value: Any, like: Any) -> Any:
    """The same value with its keys in another's order, so that order alone never differs."""
    if isinstance(value, dict) and isinstance(like, Mapping):
        keys = [*(k for k in like if k in value), *(k for k in value if k not in like)]
        return {k: _ordered(value[k], like.get(k)) for k in keys}
    if isinstance(value, list) and isinstance(like, list):
        return [_ordered(v, like[i] if i < len(like) else None) for i, v in enumerate(value)]
    return value


def files_difference(rest: Rest, wanted: Wanted, applied: Applied, name: str) -> Iterator[str]:
    """Lines of the diff between the artifact on the server and the one that would replace it."""
    old_digest = _digest(applied.before)
    if wanted.artifact is None or old_digest == _digest(wanted.object):
        return
    old: dict[str, bytes] = {}
    if old_digest:
        try:
            old = _old_files(rest, wanted.domain, old_digest)
        except NotFound:
            yield f"# the server no longer has the files of {old_digest}; all files are shown as new"
    new = {file.path: file.data for file in read_archive(wanted.artifact)}
    for path in sorted(old.keys() | new.keys()):
        yield from _file_difference(old.get(path), new.get(path), f"{name}/{path}")


def _digest(obj: Wire | None) -> str:
    return str(((obj or {}).get("spec") or {}).get("artifact", {}).get("digest", ""))


def _old_files(rest: Rest, domain: str, digest: str) -> dict[str, bytes]:
    data = rest.call_raw("GET", object_path("artifacts", digest, domain=domain), headers={"Accept": "*/*"})
    return {file.path: file.data for file in read_archive(data)}


def _file_difference(old: bytes | None, new: bytes | None, name: str) -> Iterator[str]:
    if old == new:
        return iter(())
    texts = _text(old), _text(new)
    if texts[0] is None or texts[1] is None:
        word = "added" if old is None else "removed" if new is None else "differs"
        return iter((f"# {name}: {word} (no text, or too long to show)",))
    names = ("server/" + name if old is not None else "/dev/null", "wanted/" + name if new is not None else "/dev/null")
    return _diff(texts[0], texts[1], *names)


def _text(data: bytes | None) -> str | None:
    """As text; None when it is none."""
    if data is None:
        return ""
    if len(data) > MAX_SHOWN_BYTES or b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _diff(before: str, after: str, before_name: str, after_name: str) -> Iterator[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), before_name, after_name, lineterm="")
    yield from lines
