"""Old and new processes run side by side during an upgrade: a migration that says so may only add."""

import re

import pytest

from aspora.db.migrate import Migration, load_migrations

DESTRUCTIVE = re.compile(
    r"\b(drop\s+(table|view|function|sequence|column|schema|type)|rename\s+(to|column)|truncate"
    r"|alter\s+column\s+\w+\s+(type|set\s+data\s+type|set\s+not\s+null|drop\s+default))\b",
    re.IGNORECASE,
)


def statements(migration: Migration) -> str:
    """Its SQL without comments and the bodies of functions."""
    return re.sub(r"--[^\n]*", "", re.sub(r"\$\$.*?\$\$", "", migration.sql, flags=re.DOTALL))


@pytest.mark.parametrize("migration", load_migrations(), ids=lambda m: m.name)
def test_what_older_code_works_with_takes_nothing_away(migration: Migration) -> None:
    found = DESTRUCTIVE.search(statements(migration))
    if migration.compatible_with is not None:
        assert migration.compatible_with < migration.number
        assert found is None, f"{migration.name} says compatible-with and has {found and found[0]!r}"


WITHOUT_EFFECT = {7: "says 0003, but 0004 to 0006 say nothing, and no code before 0007 reads the line"}


@pytest.mark.parametrize("migration", load_migrations(), ids=lambda m: m.name)
def test_what_a_migration_says_of_older_code_is_not_undone_by_those_before_it(migration: Migration) -> None:
    """Code starts on a newer schema when each migration that it does not know lets it."""
    oldest = migration.compatible_with
    if oldest is None or migration.number in WITHOUT_EFFECT:
        return
    between = [m for m in load_migrations() if oldest < m.number < migration.number]
    silent = [m.name for m in between if m.compatible_with is None or m.compatible_with > oldest]
    assert not silent, f"{migration.name} says {oldest:04d}, but code of that release is refused by {silent}"


def test_the_rule_can_fail() -> None:
    for text in ("alter table a drop column b;", "alter table a rename to b;", "drop function f;"):
        assert DESTRUCTIVE.search(text)
    assert not DESTRUCTIVE.search("alter table a add column b integer;")
