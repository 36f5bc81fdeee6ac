"""What is wrong with a skill's files, each with its place: all problems are collected and told at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aspora.meta.errors import FieldError, Invalid


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong, or one thing worth a warning.

    Attributes:
        file: Path as the user gave it, joined with the file's own.
        line: From 1; 0 when it concerns the whole file or folder.
        column: From 1; 0 when the line says enough.
        path: The key in the file, e.g. `runtime.timeout`; "" when there is none.
        message: What is wrong and what would do.
    """

    file: str
    line: int
    column: int
    path: str
    message: str

    @property
    def place(self) -> str:
        """`file:line:column`, as editors and terminals understand it."""
        return ":".join([self.file, *(str(n) for n in (self.line, self.column) if n)])

    def __str__(self) -> str:
        return f"{self.place}: {self.path}: {self.message}" if self.path else f"{self.place}: {self.message}"


class InvalidSkill(Invalid):
    """A folder that cannot become what it should.

    Attributes:
        problems: All of them, by place.
    """

    def __init__(self, what: str, problems: Iterable[Problem]) -> None:
        self.problems: Sequence[Problem] = sorted(set(problems))
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__(
            f"{what} has {count}: " + "; ".join(str(p) for p in self.problems[:3]),
            details=[FieldError(f"{p.place}{': ' if p.path else ''}{p.path}", p.message) for p in self.problems],
        )


class Report:
    """Collects errors and warnings while files are read."""

    def __init__(self) -> None:
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []

    def error(self, file: str, message: str, *, line: int = 0, column: int = 0, path: str = "") -> None:
        """Something that has to be mended."""
        self.errors.append(Problem(file, line, column, path, message))

    def warn(self, file: str, message: str, *, line: int = 0, column: int = 0, path: str = "") -> None:
        """Something that goes on working."""
        self.warnings.append(Problem(file, line, column, path, message))

    def object_to(
        self, strictly: bool, file: str, message: str, *, line: int = 0, column: int = 0, path: str = ""
    ) -> None:
        """An error when `strictly`, else a warning."""
        (self.error if strictly else self.warn)(file, message, line=line, column=column, path=path)

    def raise_errors(self, what: str) -> None:
        """Raise `InvalidSkill` when there is any error."""
        if self.errors:
            raise InvalidSkill(what, self.errors)
