"""How an execution fails: a reason for machines, a message for people."""


class ExecutionFailed(Exception):
    """An execution ended without a result.

    Attributes:
        reason: CamelCase, e.g. `ModelUnavailable`, `BudgetExceeded`, `LoopDetected`, `MaxStepsExceeded`, `TimedOut`.
        message: What happened, to which thing, what would do; without prompts, keys and personal data.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"
