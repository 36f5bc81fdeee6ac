"""Named SQL: a package keeps its statements in `.sql` files and calls them by name.

A file is a list of statements, each under a head line `-- name: insert_execution`; parameters are `%(name)s`, a literal
percent sign is `%%`. The name goes to the observer, so that metrics speak of queries and never of SQL text.
"""

import re
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Protocol, Self

from aspora.db.pool import Connection, Row

_HEAD = re.compile(r"^--\s*name:\s*(?P<name>\S*)\s*$")
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_PARAMETER = re.compile(r"%\((?P<name>[^)]*)\)s")
_STRAY_PERCENT = re.compile(r"%(?!%|\([^)]*\)s)")


class QueryObserver(Protocol):
    """Told of every query, for metrics."""

    def __call__(self, *, query: str, duration_seconds: float, failed: bool) -> None:
        """Record one query: `query` is `file.name`, e.g. `records.insert_execution`."""
        ...


class QueryError(ValueError):
    """A query file or a call that can't be right: a defect of the calling package, never of a user's input."""


@dataclass(frozen=True, slots=True)
class _Query:
    label: str
    sql: bytes
    parameters: frozenset[str]


def _ignore(*, query: str, duration_seconds: float, failed: bool) -> None:
    """The observer of those who want none."""


class Queries:
    """The statements of one file."""

    def __init__(
        self,
        statements: Mapping[str, str],
        *,
        source: str,
        observe: QueryObserver = _ignore,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._source = source
        self._observe = observe
        self._timer = timer
        self._queries = {name: _compile(name, sql, source) for name, sql in statements.items()}

    @classmethod
    def load(
        cls,
        package: str,
        filename: str,
        *,
        observe: QueryObserver = _ignore,
        timer: Callable[[], float] = time.perf_counter,
    ) -> Self:
        """Read a `.sql` file that lies in a package.

        Raises:
            QueryError: The file is missing, has text before the first head, a bad or doubled name or an empty body.
        """
        resource = files(package) / filename
        if not resource.is_file():
            raise QueryError(f"no query file {filename!r} in package {package!r}")
        return cls(parse(resource.read_text("utf-8"), source=filename), source=filename, observe=observe, timer=timer)

    def names(self) -> list[str]:
        """All statements of the file, in its order."""
        return list(self._queries)

    def sql(self, name: str) -> str:
        """The text of a statement, for `explain` and tests."""
        return self._find(name).sql.decode()

    async def fetch_one(self, connection: Connection, name: str, /, **parameters: Any) -> Row | None:
        """The first row, or None when there is none."""
        with self._watch(name, parameters) as query:
            cursor = await connection.execute(query.sql, parameters)
            return await cursor.fetchone()

    async def fetch_all(self, connection: Connection, name: str, /, **parameters: Any) -> list[Row]:
        """All rows."""
        with self._watch(name, parameters) as query:
            cursor = await connection.execute(query.sql, parameters)
            return await cursor.fetchall()

    async def fetch_value(self, connection: Connection, name: str, /, **parameters: Any) -> Any:
        """The first column of the first row, or None when there is no row."""
        row = await self.fetch_one(connection, name, **parameters)
        return None if row is None else next(iter(row.values()))

    async def execute(self, connection: Connection, name: str, /, **parameters: Any) -> int:
        """Run for effect; the number of rows it touched."""
        with self._watch(name, parameters) as query:
            cursor = await connection.execute(query.sql, parameters)
            return max(cursor.rowcount, 0)

    async def execute_many(self, connection: Connection, name: str, rows: Iterable[Mapping[str, Any]], /) -> int:
        """Run once for each mapping of parameters, pipelined; the number of rows touched in all."""
        batch = list(rows)
        if not batch:
            return 0
        with self._watch(name, batch[0]) as query:
            async with connection.cursor() as cursor:
                await cursor.executemany(query.sql, batch)
                return max(cursor.rowcount, 0)

    def _find(self, name: str) -> _Query:
        try:
            return self._queries[name]
        except KeyError:
            raise QueryError(f"unknown query {name!r} in {self._source!r}; known: {', '.join(self._queries)}") from None

    @contextmanager
    def _watch(self, name: str, parameters: Mapping[str, Any]) -> Generator[_Query]:
        query = self._find(name)
        if query.parameters.symmetric_difference(parameters):
            raise QueryError(_wrong_parameters(query, parameters))
        failed = True
        begin = self._timer()
        try:
            yield query
            failed = False
        finally:
            self._observe(query=query.label, duration_seconds=self._timer() - begin, failed=failed)


def parse(text: str, *, source: str) -> dict[str, str]:
    """Split a query file at its heads.

    Raises:
        QueryError: See `Queries.load`.
    """
    bodies: dict[str, list[str]] = {}
    current: list[str] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        head = _HEAD.match(line)
        if head:
            current = bodies[_new_name(head["name"], bodies, f"{source}:{number}")] = []
        elif current is not None:
            current.append(line)
        elif line.strip() and not line.lstrip().startswith("--"):
            raise QueryError(f"{source}:{number}: text before the first '-- name:' head; give the statement a name")
    return {name: _body(name, lines, source) for name, lines in bodies.items()}


def _new_name(name: str, taken: Mapping[str, object], place: str) -> str:
    if not _NAME.match(name):
        raise QueryError(
            f"{place}: {name!r} is not the name of a query; write small letters, digits and _, a letter first"
        )
    if name in taken:
        raise QueryError(f"{place}: query {name!r} is there twice; rename or remove one")
    return name


def _body(name: str, lines: list[str], source: str) -> str:
    if not any(line.strip() and not line.lstrip().startswith("--") for line in lines):
        raise QueryError(f"{source}: query {name!r} has no statement; write one under its head")
    return "\n".join(lines).strip()


def _compile(name: str, sql: str, source: str) -> _Query:
    stray = _STRAY_PERCENT.search(sql.replace("%%", ""))
    if stray:
        raise QueryError(f"{source}: query {name!r} has a lone '%'; write %(parameter)s, or %% for a percent sign")
    label = f"{source.removesuffix('.sql')}.{name}"
    parameters = frozenset(found["name"] for found in _PARAMETER.finditer(sql.replace("%%", "")))
    return _Query(label=label, sql=sql.encode(), parameters=parameters)


def _wrong_parameters(query: _Query, given: Mapping[str, Any]) -> str:
    missing = ", ".join(sorted(query.parameters - given.keys())) or "none"
    unknown = ", ".join(sorted(given.keys() - query.parameters)) or "none"
    return f"wrong parameters for query {query.label!r}: missing {missing}; unknown {unknown}"
