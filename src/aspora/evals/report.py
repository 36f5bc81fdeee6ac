"""What came of a test run, as data: one report a suite, one line a case."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CaseReport:
    """One case.

    Attributes:
        id: Unique in its suite.
        description: What the case shows; "" when nobody said.
        failures: What was missed, one sentence each; empty when the case passed.
        duration_ms: How long it took.
        skipped: Why it was not run; "" when it was.
    """

    id: str
    description: str = ""
    failures: tuple[str, ...] = ()
    duration_ms: float = 0.0
    skipped: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.failures


@dataclass(frozen=True, slots=True)
class SuiteReport:
    """One suite.

    Attributes:
        suite: `unit`, `golden`, `triggers` or `evals`.
        cases: In the order of the file.
        error: Why the suite as a whole could not be run; "" when it could.
        skipped: Why it was not run although it is sound; "" when it was.
    """

    suite: str
    cases: tuple[CaseReport, ...] = ()
    error: str = ""
    skipped: str = ""

    @property
    def ok(self) -> bool:
        """Whether every case that was run passed."""
        return not self.error and all(case.ok for case in self.cases)

    @property
    def passed(self) -> int:
        """Cases that were run and passed."""
        return sum(case.ok and not case.skipped for case in self.cases)

    @property
    def failed(self) -> int:
        """Cases that failed."""
        return sum(not case.ok for case in self.cases)
