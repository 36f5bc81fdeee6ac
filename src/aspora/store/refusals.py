"""Why the database refused a write, in words for whoever sent it."""

from aspora.meta.errors import AlreadyExists, Conflict, FieldError, Internal, Invalid, NotFound, StatusError
from aspora.store.interface import Key, Write


def refusal(write: Write, outcome: str, present_version: str | None) -> StatusError:
    """The error for an outcome of `aspora_write_objects`.

    Args:
        present_version: Of the object as it is; with the outcome `refused`, the SQLSTATE.
    """
    what = described(write.key)
    match outcome:
        case "exists":
            return AlreadyExists(f"{what} exists already; update it, or delete it first")
        case "missing":
            return missing(write.key)
        case "refused":
            problem = f"the database refuses a value in it (SQLSTATE {present_version}); report this as a defect"
            return Invalid(f"{what} can't be stored: {problem}", details=[FieldError("", problem)])
        case "replaced":
            return Conflict(f"{what} is another object of that name by now; read it again")
        case "stale":
            return Conflict(
                f"{what} has changed: it is at resourceVersion {present_version!r},"
                f" not {str(write.expected_version)[:40]!r}; read it again and redo the change"
            )
        case _:
            return _unmet(write, outcome)


def _unmet(write: Write, outcome: str) -> StatusError:
    """The surroundings are not as the write asks."""
    what = described(write.key)
    match outcome:
        case "homeless" if write.lives_in is not None:
            home = described(write.lives_in)
            return Conflict(
                f"{what} can't be written: {home} is gone or being deleted, "
                "and nothing new can be in it; make it in another"
            )
        case "occupied":
            return Conflict(
                f"{what} can't be deleted: something is left in its domain, or was made there meanwhile; "
                "delete that first"
            )
        case "fenced" if write.leader is not None:
            return Conflict(
                f"{what} can't be written: another {write.leader.name[:80]!r} leads by now, this one's epoch"
                f" {write.leader.epoch} is over; nothing needs to be done"
            )
        case "dangling":
            return Conflict(f"{what} can't be written: something that it names is gone by now; read it again")
        case "referenced":
            return Conflict(f"{what} can't be written: another object names it; change that one first")
        case _:
            return Internal(f"the database answered {outcome!r} to a write of {what}")


def missing(key: Key) -> NotFound:
    """There is no such object."""
    return NotFound(
        f"{key.kind[:80]} {key.name[:80]!r} not found{_place(key)}; see: aspora get {key.kind[:80].lower()}"
    )


def described(key: Key) -> str:
    """An object, for a message."""
    return f"{key.kind[:80]} {key.name[:80]!r}{_place(key)}"


def _place(key: Key) -> str:
    return f" in domain {key.domain[:80]!r}" if key.domain else ""
