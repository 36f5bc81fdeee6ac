"""What `aspora doctor` says of one thing that it looked at."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: What.
        state: How it is.
        message: What was seen.
        remedy: What would do; empty when nothing needs doing.
        details: More of the same, a line each.
    """

    subject: str
    state: Literal["ok", "warn", "fail"]
    message: str
    remedy: str = ""
    details: tuple[str, ...] = ()
