"""What Aspora sets of the workflow engine's own must still be there in the release that is installed."""

from dbos import _sys_db_postgres, _workflow_commands

from aspora.executor.durable.engine import _JOBS_SECONDS  # pyright: ignore[reportPrivateUsage]


def test_the_pause_between_rounds_of_jobs_can_be_set_and_outlasts_no_lock() -> None:
    assert isinstance(vars(_workflow_commands)["_BACKGROUND_JOBS_INTERVAL_SEC"], float)
    assert _JOBS_SECONDS * 1000 < _sys_db_postgres.BACKGROUND_JOB_LOCK_IDLE_TIMEOUT_MS
