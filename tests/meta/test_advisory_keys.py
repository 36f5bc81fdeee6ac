"""Advisory locks are listed in one place: whatever takes one takes a key from there."""

import re
from pathlib import Path

from aspora.db.advisory_keys import LockKey

SRC = Path(__file__).parents[2] / "src" / "aspora"
SQL = {path: path.read_text() for path in SRC.rglob("*.sql")}
PYTHON = {path: path.read_text() for path in SRC.rglob("*.py") if path.name != "advisory_keys.py"}
_TAKEN = re.compile(r"pg_(?:try_)?advisory_(?:xact_)?lock(?:_shared)?\((?P<key>[^\n]*)\)")
_WRITTEN_OUT = re.compile(r"hashtextextended\('(?P<text>\w+) ?'")


def written_out() -> set[str]:
    """Keys that the functions of migrations spell."""
    return {
        found["text"]
        for path, text in SQL.items()
        if "migrations" in path.parts
        for found in _WRITTEN_OUT.finditer(text)
    }


def test_what_migrations_spell_is_listed() -> None:
    assert len(written_out()) >= 4
    assert written_out() <= set(LockKey)


def test_other_statements_are_given_their_key() -> None:
    takers = {path: _TAKEN.findall(text) for path, text in SQL.items() if "migrations" not in path.parts}
    keys = [(path.name, key) for path, found in takers.items() for key in found]
    assert len(keys) >= 4
    assert [k for k in keys if k[1] not in {"%(key)s", "hashtextextended(%(key)s, 0)"}] == []
    assert [path.name for path, text in PYTHON.items() if "advisory_" in text and _TAKEN.search(text)] == []


def test_what_is_listed_is_used() -> None:
    named = {key for key in LockKey if any(f"LockKey.{key.name}" in text for text in PYTHON.values())}
    assert named | written_out() == set(LockKey)


def test_no_key_can_be_another() -> None:
    """A key may be followed by a space and a name, so it holds no space itself."""
    assert [key for key in LockKey if not re.fullmatch(r"aspora_[a-z_]+", key)] == []
