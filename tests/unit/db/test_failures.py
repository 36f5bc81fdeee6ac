"""Which database failure becomes which error."""

import psycopg
import pytest
from psycopg import errors
from psycopg_pool import PoolClosed, PoolTimeout

from aspora.db.failures import ConnectionLost, SerializationConflict, translate, translated
from aspora.meta.errors import Invalid, StatusError, Timeout, Unavailable


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.SerializationFailure(), SerializationConflict),
        (errors.DeadlockDetected(), SerializationConflict),
        (errors.QueryCanceled(), Timeout),
        (errors.LockNotAvailable(), Unavailable),
        (errors.AdminShutdown(), ConnectionLost),
        (errors.CannotConnectNow(), ConnectionLost),
        (errors.ConnectionFailure(), ConnectionLost),
        (errors.ReadOnlySqlTransaction(), ConnectionLost),
        (errors.DiskFull(), Unavailable),
        (errors.TooManyConnections(), Unavailable),
        (errors.CharacterNotInRepertoire(), Invalid),
        (psycopg.OperationalError("server closed the connection unexpectedly"), ConnectionLost),
        (psycopg.InterfaceError("the connection is closed"), ConnectionLost),
        (PoolTimeout("late"), Unavailable),
        (PoolClosed("closed"), Unavailable),
    ],
)
def test_a_failure_a_caller_can_act_on_is_translated(error: psycopg.Error, expected: type[StatusError]) -> None:
    assert type(translate(error)) is expected


@pytest.mark.parametrize("error", [errors.UniqueViolation(), errors.SyntaxError(), psycopg.ProgrammingError("bad")])
def test_what_only_the_querys_owner_understands_passes_through(error: psycopg.Error) -> None:
    assert translate(error) is None
    with pytest.raises(type(error)), translated():
        raise error


def test_aspora_errors_and_others_are_left_alone() -> None:
    with pytest.raises(Timeout), translated():
        raise Timeout("mine")
    with pytest.raises(ZeroDivisionError), translated():
        raise ZeroDivisionError


def test_only_the_first_line_of_a_client_error_is_told() -> None:
    told = translate(psycopg.OperationalError("gone\nDETAIL: secret"))
    assert told is not None
    assert "gone" in told.message
    assert "secret" not in told.message
