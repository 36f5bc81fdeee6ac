"""Why a model call has no answer; each class name is the reason that callers see."""

from typing import ClassVar


class ModelFailed(Exception):
    """A model call got no answer.

    Attributes:
        reason: CamelCase, machine-readable.
        message: For people; holds no prompt, no answer and no key.
    """

    reason: ClassVar[str] = "ModelFailed"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


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
    """The next call could cost more than is left; it did not go out."""

    reason = "BudgetExceeded"
