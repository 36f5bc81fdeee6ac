"""Named SQL on a real connection."""

from aspora.db.pool import Database
from aspora.db.queries import Queries, parse

QUERIES = Queries(
    parse(
        """
-- name: make
create table t (id integer primary key, body text)
-- name: insert
insert into t (id, body) values (%(id)s, %(body)s) returning id
-- name: find
select id, body from t where id = %(id)s
-- name: like
select id from t where body like 'b%%' order by id
""",
        source="t.sql",
    ),
    source="t.sql",
)


async def test_every_way_to_run_a_query(database: Database) -> None:
    async with database.connection() as connection:
        assert await QUERIES.execute(connection, "make") == 0
        assert await QUERIES.fetch_value(connection, "insert", id=1, body="a") == 1
        assert await QUERIES.execute(connection, "insert", id=2, body="b") == 1
        rows = [{"id": i, "body": f"b{i}"} for i in range(3, 100)]
        assert await QUERIES.execute_many(connection, "insert", rows) == 97
        assert await QUERIES.execute_many(connection, "insert", []) == 0
        assert await QUERIES.fetch_one(connection, "find", id=2) == {"id": 2, "body": "b"}
        assert await QUERIES.fetch_one(connection, "find", id=1000) is None
        assert await QUERIES.fetch_value(connection, "find", id=1000) is None
        assert len(await QUERIES.fetch_all(connection, "like")) == 98
