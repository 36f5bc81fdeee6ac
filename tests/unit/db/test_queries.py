"""Query files: how they are read, what is refused, what the observer hears. The connection here is a recorder."""

from typing import Any

import pytest

from aspora.db.queries import Queries, QueryError, parse

TEXT = """\
-- A file's own comment.

-- name: find
-- Why this is so.
select * from t where a = %(a)s and b like '%%x' and c = %(a)s
-- name: count
select count(*) as n from t;
"""


class Recorder:
    """Stands where a connection would: keeps what it is told, answers nothing."""

    rowcount = -1

    def __init__(self) -> None:
        self.seen: list[tuple[bytes, Any]] = []

    async def execute(self, sql: bytes, parameters: Any) -> "Recorder":
        if b"boom" in sql:
            raise RuntimeError("boom")
        self.seen.append((sql, parameters))
        return self

    async def fetchone(self) -> None:
        return None


def queries(text: str = TEXT, **options: Any) -> Queries:
    return Queries(parse(text, source="t.sql"), source="t.sql", **options)


def test_a_file_is_split_at_its_heads_and_keeps_comments_below_them() -> None:
    assert queries().names() == ["find", "count"]
    assert queries().sql("find").startswith("-- Why this is so.\nselect *")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("select 1", "before the first"),
        ("-- name: a\nselect 1\n-- name: a\nselect 2", "t.sql:3: query 'a' is there twice"),
        ("-- name: Big\nselect 1", "'Big' is not the name of a query"),
        ("-- name:\nselect 1", "'' is not the name of a query"),
        ("-- name: a\n-- only a comment\n\n-- name: b\nselect 1", "'a' has no statement"),
        ("-- name: a\nselect 5 % 2", "lone '%'"),
        ("-- name: a\nselect %s", "lone '%'"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(text: str, part: str) -> None:
    with pytest.raises(QueryError, match=part.replace("(", r"\(")):
        queries(text)


async def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(QueryError, match=r"unknown query 'fnd' in 't.sql'; known: find, count"):
        await queries().fetch_one(Recorder(), "fnd")  # type: ignore[arg-type]


async def test_parameters_must_be_exactly_those_of_the_statement() -> None:
    with pytest.raises(QueryError, match=r"'t.find': missing a; unknown z"):
        await queries().fetch_one(Recorder(), "find", z=1)  # type: ignore[arg-type]


async def test_a_missing_package_file_is_named() -> None:
    with pytest.raises(QueryError, match=r"no query file 'nope.sql' in package 'aspora.db'"):
        Queries.load("aspora.db", "nope.sql")


async def test_the_observer_hears_label_time_and_failure() -> None:
    heard: list[dict[str, Any]] = []
    ticks = iter([1.0, 1.25, 2.0, 2.5])

    def observe(**facts: Any) -> None:
        heard.append(facts)

    named = queries("-- name: fine\nselect 1\n-- name: bad\nselect boom", observe=observe, timer=lambda: next(ticks))
    await named.execute(Recorder(), "fine")  # type: ignore[arg-type]
    with pytest.raises(RuntimeError):
        await named.execute(Recorder(), "bad")  # type: ignore[arg-type]
    assert heard == [
        {"query": "t.fine", "duration_seconds": 0.25, "failed": False},
        {"query": "t.bad", "duration_seconds": 0.5, "failed": True},
    ]


async def test_parameters_are_always_passed_so_that_doubled_percents_mean_the_same_everywhere() -> None:
    recorder = Recorder()
    await queries("-- name: a\nselect 5 %% 2").execute(recorder, "a")  # type: ignore[arg-type]
    assert recorder.seen == [(b"select 5 %% 2", {})]


def test_parsing_keeps_every_statement_whatever_its_name() -> None:
    names = [f"q{i}" for i in range(50)]
    text = "\n".join(f"-- name: {name}\nselect {i}\n" for i, name in enumerate(names))
    assert parse(text, source="t.sql") == {name: f"select {i}" for i, name in enumerate(names)}
