"""What can go wrong on the handler's side, and the wire's error codes for it."""

from __future__ import annotations

HANDLER_RAISED = -32000
HANDLER_LOAD_FAILED = -32001
INVALID_RESULT = -32002
LIMITS_NOT_SET = -32003
PARSE_ERROR = -32700
METHOD_NOT_ALLOWED = -32601

# What the host answers a capability call with; `data.reason` carries the name and wins over the number.
REASON_BY_CODE = {
    METHOD_NOT_ALLOWED: "MethodNotAllowed",
    -32010: "Forbidden",
    -32011: "NotFound",
    -32012: "BudgetExceeded",
    -32013: "TooManyRequests",
    -32014: "Timeout",
    -32015: "Unavailable",
    -32016: "Invalid",
}


class CapabilityError(Exception):
    """The host refused or failed a capability call.

    Attributes:
        reason: One CamelCase word to branch on: `Forbidden`, `NotFound`, `BudgetExceeded`, `TooManyRequests`,
            `Timeout`, `Unavailable`, `Invalid`, `MethodNotAllowed` or `Internal`.
        method: The call, such as `tools.read` or `apis.trm.check_transaction`.
        message: What the host said.
    """

    def __init__(self, reason: str, message: str, *, method: str) -> None:
        super().__init__(f"{method}: {reason}: {message}")
        self.reason = reason
        self.message = message
        self.method = method


class HandlerLoadError(Exception):
    """The entry point holds no handler that can run."""


class InvalidResultError(Exception):
    """What the handler returned is not a result that can travel as JSON."""
