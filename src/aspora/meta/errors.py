"""The one tree of errors, and the one shape they take on the wire.

Every failure a caller can act on is a `StatusError`. Its class fixes the HTTP status and the `reason`; its message says
what happened, to which thing, and what would do. Standard library only: the CLI imports this at start.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

API_VERSION = "aspora.dev/v1"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field.

    Attributes:
        field: Path from the object's root in wire names, e.g. `spec.traffic[0].shareBp`; empty for the whole object.
        message: What is wrong and what would do.
        reason: CamelCase class of the problem, e.g. `Required`, `UnknownField`, `InvalidValue`, `Immutable`.
    """

    field: str
    message: str
    reason: str = "InvalidValue"

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class StatusError(Exception):
    """Base of all errors that reach a caller.

    Attributes:
        code: HTTP status.
        reason: CamelCase machine-readable reason; equals the class name.
        message: For people. Never holds a secret, a prompt or personal data.
        details: Field errors, all of them at once.
        retry_after_seconds: When a retry can help, after how long; None when the server can't tell.
    """

    code: ClassVar[int] = 500
    reason: ClassVar[str] = "Internal"

    def __init__(
        self,
        message: str,
        *,
        details: Sequence[FieldError] = (),
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = tuple(details)
        self.retry_after_seconds = retry_after_seconds

    def to_status(self) -> dict[str, Any]:
        """The wire form, a `Status` object: `reason`, `message`, `code`, `details[].field`."""
        return {
            "apiVersion": API_VERSION,
            "kind": "Status",
            "status": "Failure",
            "code": self.code,
            "reason": self.reason,
            "message": self.message,
            "details": [{"field": d.field, "reason": d.reason, "message": d.message} for d in self.details],
        }


class Invalid(StatusError):
    """The object or request is wrong in itself; `details` names every field."""

    code, reason = 422, "Invalid"


class BadRequest(StatusError):
    """The request can't be read at all: broken JSON, an unknown query parameter, a malformed selector."""

    code, reason = 400, "BadRequest"


class Unauthorized(StatusError):
    """No credential, or one that is unknown, expired or revoked."""

    code, reason = 401, "Unauthorized"


class BudgetExceeded(StatusError):
    """A cap on money is reached."""

    code, reason = 402, "BudgetExceeded"


class Forbidden(StatusError):
    """The caller is known and may not do this."""

    code, reason = 403, "Forbidden"


class NotFound(StatusError):
    """No such thing, or none that the caller may see."""

    code, reason = 404, "NotFound"


class MethodNotAllowed(StatusError):
    """The kind does not have this verb.

    Attributes:
        allowed: HTTP methods that are answered where this one is not; empty when it is no matter of HTTP.
    """

    code, reason = 405, "MethodNotAllowed"

    def __init__(self, message: str, *, details: Sequence[FieldError] = (), allowed: Sequence[str] = ()) -> None:
        super().__init__(message, details=details)
        self.allowed = tuple(allowed)


class AlreadyExists(StatusError):
    """A create met an object of that name."""

    code, reason = 409, "AlreadyExists"


class Conflict(StatusError):
    """A write was based on a stale `resourceVersion`, or an idempotency key came back with another body."""

    code, reason = 409, "Conflict"


class Expired(StatusError):
    """A watch or a continue token starts before the kept history: list again."""

    code, reason = 410, "Expired"


class TooLarge(StatusError):
    """A body, a file or an answer is over its cap."""

    code, reason = 413, "TooLarge"


class TooManyRequests(StatusError):
    """A rate limit is reached."""

    code, reason = 429, "TooManyRequests"


class Internal(StatusError):
    """A defect of Aspora's own; the message never carries the details."""

    code, reason = 500, "Internal"


class Unavailable(StatusError):
    """A part that is needed can't be reached now."""

    code, reason = 503, "Unavailable"


class Timeout(StatusError):
    """The deadline passed first."""

    code, reason = 504, "Timeout"


BY_REASON: Mapping[str, type[StatusError]] = {
    cls.reason: cls
    for cls in (
        Invalid,
        BadRequest,
        Unauthorized,
        BudgetExceeded,
        Forbidden,
        NotFound,
        MethodNotAllowed,
        AlreadyExists,
        Conflict,
        Expired,
        TooLarge,
        TooManyRequests,
        Internal,
        Unavailable,
        Timeout,
    )
}


def from_status(status: Mapping[str, Any]) -> StatusError:
    """Rebuild the error a server sent as a `Status` object; an unknown reason becomes `Internal`, message kept."""
    cls = BY_REASON.get(str(status.get("reason", "")), Internal)
    raw: Any = status.get("details") or ()
    details = [
        FieldError(str(d.get("field", "")), str(d.get("message", "")), str(d.get("reason", "InvalidValue")))
        for d in raw
        if isinstance(d, Mapping)
    ]
    return cls(str(status.get("message", "no message")), details=details)
