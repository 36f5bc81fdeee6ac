"""Why a model call has no answer; each class name is the reason that callers see."""

from typing import ClassVar


class ModelFailed(Exception):
    """A model call got no answer.

    Attributes:
        reason: CamelCase, machine-readable.
        message: For people; holds no prompt, no answer and no key.
        retry_after_seconds: When it may help to ask again; None: not said.
    """

    reason: ClassVar[str] = "ModelFailed"

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_seconds = retry_after_seconds


class ModelNotConfigured(ModelFailed):
    """An alias is unknown, or no endpoint is configured for it."""

    reason = "ModelNotConfigured"


class ModelRejected(ModelFailed):
    """The upstream refuses the request itself (400, 413, 422, a content filter)."""

    reason = "ModelRejected"


class ModelUnavailable(ModelFailed):
    """Every attempt on every alias failed."""

    reason = "ModelUnavailable"


class ModelTimedOut(ModelFailed):
    """The deadline passed before an answer was whole."""

    reason = "TimedOut"


class BudgetExceeded(ModelFailed):
    """The next call could cost more than is left, or its budget is paused; it did not go out."""

    reason = "BudgetExceeded"


class RateLimited(ModelFailed):
    """A limit of ours on requests or tokens is used up; the next call did not go out."""

    reason = "TooManyRequests"


class LedgerUnavailable(ModelFailed):
    """The ledger can't say whether a call may be paid for; it did not go out."""

    reason = "Unavailable"
