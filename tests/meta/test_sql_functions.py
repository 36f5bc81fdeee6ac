"""The head of a file of statements names the functions behind them, each with the migration of its latest version."""

import re
from pathlib import Path

import pytest

from aspora.db.migrate import load_migrations
from aspora.db.queries import parse

SRC = Path(__file__).parents[2] / "src" / "aspora"
STATEMENTS = sorted(path for path in SRC.rglob("*.sql") if "migrations" not in path.parts)
_MADE = re.compile(
    r"^create (?:or replace )?function (?P<name>\w+)\(.*?\$\$(?P<body>.*?)\$\$;", re.DOTALL | re.MULTILINE
)
_CALLED = re.compile(r"\baspora_\w+(?=\()")
_LISTED = re.compile(r"^--   (?P<number>\d{4})  (?P<names>aspora_[\w, ]+)$", re.MULTILINE)


def latest() -> dict[str, tuple[int, str]]:
    """Function → the number of the migration that holds its latest version, and that version's body."""
    found: dict[str, tuple[int, str]] = {}
    for migration in load_migrations():
        for made in _MADE.finditer(migration.sql):
            found[made["name"]] = (migration.number, made["body"])
        assert "drop function" not in migration.sql.lower(), "then this test must learn of it"
    return found


def behind(text: str, functions: dict[str, tuple[int, str]]) -> dict[str, int]:
    """The functions that a text calls, and those that they call."""
    found: dict[str, int] = {}
    ahead = _CALLED.findall(text)
    while ahead:
        name = ahead.pop()
        if name not in found:
            found[name], body = functions[name]
            ahead += _CALLED.findall(body)
    return found


def listed(text: str) -> dict[str, int]:
    head = text.partition("-- name:")[0]
    return {name: int(line["number"]) for line in _LISTED.finditer(head) for name in line["names"].split(", ")}


def test_every_function_is_found() -> None:
    created = sum(len(re.findall(r"^create (?:or replace )?function", m.sql, re.MULTILINE)) for m in load_migrations())
    assert created == sum(len(_MADE.findall(m.sql)) for m in load_migrations())
    assert {"aspora_write_objects", "aspora_next_object", "aspora_audit"} <= latest().keys()


def test_the_stores_head_names_the_latest_version_of_each_function() -> None:
    text = (SRC / "store" / "objects.sql").read_text()
    wanted = behind("\n".join(parse(text, source="objects.sql").values()), latest())
    assert listed(text) == wanted, "\n" + as_head(wanted)


@pytest.mark.parametrize("path", STATEMENTS, ids=lambda path: path.name)
def test_whoever_calls_a_function_that_was_replaced_says_where_it_stands(path: Path) -> None:
    functions, text = latest(), path.read_text()
    made = [made["name"] for m in load_migrations() for made in _MADE.finditer(m.sql)]
    replaced = {name: number for name, number in behind(text, functions).items() if made.count(name) > 1}
    assert replaced.items() <= listed(text).items(), "\n" + as_head(replaced)


def as_head(functions: dict[str, int]) -> str:
    """The lines to write."""
    by_number: dict[int, list[str]] = {}
    for name, number in sorted(functions.items()):
        by_number.setdefault(number, []).append(name)
    return "\n".join(
        f"--   {number:04d}  {', '.join(names[i : i + 3])}"
        for number, names in sorted(by_number.items())
        for i in range(0, len(names), 3)
    )
