"""One attempt's work, as those who do it see it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from aspora.executor.journal import Journal
from aspora.executor.plan import Plan
from aspora.executor.results import Given
from aspora.executor.trace import Trace
from aspora.models.interface import Charge
from aspora.records.rows import Claim


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Everything is at hand: do it.

    Attributes:
        folder: The skill's files, read-only.
        input: The request's wire input.
        timeout_seconds: How long it may take from now.
    """

    claim: Claim
    plan: Plan
    folder: Path
    input: Mapping[str, Any]
    timeout_seconds: float
    trace: Trace
    journal: Journal


@dataclass(frozen=True, slots=True)
class ModelTerms:
    """How an attempt calls models.

    Attributes:
        models: Aliases in the order to try; never empty.
        charge: Who pays, and within which limits.
    """

    models: tuple[str, ...]
    charge: Charge


class Worker(Protocol):
    """Does one kind of work: runs a handler, or an agent."""

    async def __call__(self, work: Work) -> Given:
        """Do it.

        Raises:
            ExecutionFailed: There is no result.
            Superseded: Another attempt has taken over.
        """
        ...
