"""How many transactions the embedded PostgreSQL of a running Aspora has done."""

import json
from pathlib import Path

import psycopg

_COUNT = "select sum(xact_commit + xact_rollback)::bigint from pg_stat_database"


def transactions(data_dir: Path) -> int:
    """All databases together, since the server's start; an idle session's own count arrives up to ten seconds late."""
    password = json.loads((data_dir / "postgres.credentials").read_text())["superuser"]
    lock = next((data_dir / "run").glob(".s.PGSQL.*.lock"))
    with psycopg.connect(
        host=str(lock.parent),
        port=int(lock.stem.rpartition(".")[2]),
        user="postgres",
        password=password,
        dbname="postgres",
    ) as connection:
        row = connection.execute(_COUNT).fetchone()
    assert row is not None
    return int(row[0])
