"""The database is away: the durable engine waits for it, and leaves the executor's event loop free for all else."""

import asyncio
import os
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from dbos._utils import retriable_postgres_exception
from sqlalchemy.exc import DBAPIError
from tests.servers import proxy_to

from aspora.executor.durable.engine import Engine, engine_for

AWAY_SECONDS = 10.0 if os.environ.get("ASPORA_TEST_FAULTS") == "full" else 2.0
LAG_SECONDS = 3.0


async def _nothing(_execution: str) -> None:
    pass


async def test_faults_durable_engine_start_without_a_database_leaves_the_event_loop_free(dsn: str) -> None:
    parts = urlsplit(dsn)
    query = parse_qs(parts.query)
    async with proxy_to(f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}") as proxy:
        through = parts._replace(
            netloc=f"{parts.username}:{parts.password}@127.0.0.1:{proxy.port}", query="sslmode=disable"
        ).geturl()
        proxy.fall_silent()
        engine = Engine(dsn=through, executor_id="away-1", slots=1, body=_nothing, busy=lambda: False)
        starting = asyncio.create_task(engine.start(asyncio.Event()))
        longest_seconds, until = 0.0, time.monotonic() + AWAY_SECONDS
        while time.monotonic() < until:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            longest_seconds = max(longest_seconds, time.monotonic() - before - 0.01)
        assert proxy.accepted, "the engine has not even asked"
        assert not starting.done() or starting.exception() is not None, "nobody answered, and yet it has begun"
        proxy.speak()
        proxy.cut()
        outcome = (await asyncio.gather(starting, return_exceptions=True))[0]
        if not isinstance(outcome, BaseException):
            await engine.stop()
        else:
            # What a second try, which the executor makes, needs: the failed one has let go of everything.
            again = Engine(dsn=through, executor_id="away-2", slots=1, body=_nothing, busy=lambda: False)
            await again.start(asyncio.Event())
            await again.stop()
    assert longest_seconds < LAG_SECONDS


@pytest.mark.parametrize("place", ["host={folder} port=5432", "host=127.0.0.1 port=1"])
def test_the_workflow_engine_tries_again_when_nobody_answers(tmp_path: Path, place: str) -> None:
    """Else an execution fails for a database that is being started again."""
    engine = engine_for(f"dbname=x user=x {place.format(folder=tmp_path)}")
    with pytest.raises(DBAPIError) as caught:
        engine.connect()
    assert retriable_postgres_exception(caught.value)
