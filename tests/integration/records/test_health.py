"""Numbers of skills' health, from one aggregate."""

import time
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import get_args

from aspora.db.pool import Database
from aspora.records.health import Healths
from aspora.records.state import State, is_terminal

SKILLS = 1000
EACH = 40

FILL = """
insert into executions (
    id, day, domain, skill, revision, environment, class, caller, created_at, deadline, state, finished_at,
    cost_micro_usd
)
select format('EXEC-%%s-%%s', to_char(now() at time zone 'UTC', 'YYYYMMDDHH24MISS'), lpad(to_hex(n), 8, '0')),
    (now() at time zone 'UTC')::date, 'd' || n %% %(skills)s %% 7, 's' || n %% %(skills)s,
    'r', 'production', 'inline', 'me',
    now() - interval '10 minutes', now(), case when n %% 10 = 0 then 'Failed' else 'Succeeded' end,
    now() - interval '10 minutes' + make_interval(secs => (n / %(skills)s) / 1000.0), 7
from generate_series(0, %(rows)s - 1) as n
"""


async def test_one_aggregate_counts_a_thousand_skills(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute(FILL, {"skills": SKILLS, "rows": SKILLS * EACH})
        await connection.execute("analyze executions")
    healths = Healths(database)
    began = time.perf_counter()
    numbers = await healths.since(datetime.now(UTC) - timedelta(hours=1))
    print(f"health of {SKILLS} skills over {SKILLS * EACH} executions: {(time.perf_counter() - began) * 1000:.0f} ms")
    assert sum(n.succeeded + n.failed for n in numbers.values()) == SKILLS * EACH
    assert len({skill for _, skill in numbers}) == SKILLS
    assert len(numbers) == SKILLS
    one = [n for (_, skill), n in numbers.items() if skill == "s11"]
    assert sum(n.failed for n in one) == 0
    assert sum(n.cost_micro_usd for n in one) == EACH * 7
    assert all(n.p95_ms is not None and n.p50_ms is not None and n.p50_ms <= n.p95_ms <= EACH for n in one)
    failed = [n for (_, skill), n in numbers.items() if skill == "s10"]
    assert sum(n.failed for n in failed) == EACH
    assert all(n.p50_ms is None and n.last_failed_at is not None for n in failed)
    assert await healths.since(datetime.now(UTC) - timedelta(minutes=1)) == {}


async def test_what_is_not_over_keeps_its_revision_in_use(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute(
            "insert into executions (id, day, domain, skill, revision, environment, class, caller, created_at,"
            " deadline, state, finished_at)"
            " select 'EXEC-20260101000000-0000000' || n, '2026-01-01', 'd', 's', 'r' || n,"
            " 'production', 'inline', 'me', now(), now(), state, case when state in ('Pending', 'Running') then null"
            " else now() end from unnest(array['Pending', 'Running', 'Succeeded', 'Failed', 'Cancelled'])"
            " with ordinality as t (state, n)"
        )
    assert await Healths(database).revisions_in_use("d", "s") == ["r1", "r2"]
    assert await Healths(database).revisions_in_use("d", "other") == []


def test_every_state_that_is_no_end_counts_as_in_use() -> None:
    sql = (files("aspora.records") / "health.sql").read_text().partition("-- name: revisions_in_use")[2]
    assert {s for s in get_args(State) if f"'{s}'" in sql} == {s for s in get_args(State) if not is_terminal(s)}
