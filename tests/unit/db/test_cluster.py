"""What a failed server program said, as an error with its way out."""

import pytest

from aspora.db.cluster import Credentials, explain_failure
from aspora.meta.errors import Unavailable


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("FATAL:  could not write file: No space left on device", "the disk is full"),
        ("could not create shared memory segment: No space left on device", "enlarge /dev/shm"),
        ("initdb: error: could not look up effective user ID 1001", "has no account"),
        ("can't run '/x/postgres': Permission denied", "can't be read or written"),
        ("something new", "see its last words"),
        ("", "it said nothing"),
    ],
)
def test_the_likely_cause_comes_first(said: str, advice: str) -> None:
    error = explain_failure("the server did not start", said)
    assert isinstance(error, Unavailable)
    assert str(error).startswith("the server did not start: ")
    assert advice in str(error)


def test_only_the_end_of_a_long_story_is_told() -> None:
    told = str(explain_failure("failed", "\n".join(f"line {i}" for i in range(100))))
    assert "line 99" in told
    assert "line 50" not in told


def test_passwords_are_not_printed() -> None:
    assert "s3cret" not in repr(Credentials(superuser="s3cret", application="s3cret"))
