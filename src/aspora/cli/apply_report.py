"""What `aspora apply` tells: a line for each thing as it is done, then the warnings, the sums and the exit code."""

from collections.abc import Mapping, Sequence
from typing import Any

from aspora.cli import exit_codes
from aspora.cli.app import Cli
from aspora.cli.apply_all import Lost
from aspora.cli.applying import Applied, Wanted, revision_text
from aspora.cli.printing import print_problems, qualified_name
from aspora.cli.pruning import Prunable
from aspora.meta.errors import StatusError

FAILED = "failed"
IN_DOUBT = "in doubt"
NOT_TRIED = "not tried"
STYLES = {
    "created": "green",
    "configured": "yellow",
    "unchanged": "dim",
    "pruned": "red",
    IN_DOUBT: "red",
    NOT_TRIED: "yellow",
}


class Report:
    """Prints what became of each thing, and counts.

    Attributes:
        objects: As the server has them now, or in a dry run would have them.
        passed_over: Files that may be damaged manifests.
    """

    def __init__(self, cli: Cli, *, dry_run: bool, as_json: bool) -> None:
        self._cli = cli
        self._dry_run = dry_run
        self._as_json = as_json
        self.objects: list[Mapping[str, Any]] = []
        self.passed_over: list[str] = []
        self._code = exit_codes.OK
        self._rows: list[Mapping[str, Any]] = []
        self._warnings: dict[str, list[str]] = {}

    @property
    def has_failed(self) -> bool:
        """Whether anything could not be read or was refused."""
        return self._code != exit_codes.OK

    def done(self, item: Wanted, outcome: Applied | StatusError) -> None:
        """One thing is applied, or refused by the server."""
        if isinstance(outcome, StatusError):
            parts = (item.object["kind"].lower(), item.domain, item.name)
            self.refused("/".join(p for p in parts if p), outcome)
            return
        self.objects.append(outcome.object)
        if not item.if_absent or outcome.change != "unchanged":
            self._applied(qualified_name(item.object["kind"].lower(), outcome.object), outcome)

    def _applied(self, name: str, outcome: Applied) -> None:
        status: Mapping[str, Any] = outcome.object.get("status") or {}
        key: str | None = outcome.object.get("once", {}).get("key")
        row = {"name": name, "change": outcome.change, "revision": status.get("latestRevision")}
        self._rows.append(row | ({"key": key} if key else {}))
        if not self._as_json:
            out = self._cli.out
            would = " (dry run)" if self._dry_run else ""
            out.line(f"{name} {out.style(outcome.change, STYLES[outcome.change])}{revision_text(outcome)}{would}")
            out.stdout.flush()
            if key:
                out.note(f"This is the key of {name}; it is not shown again. Use it as ASPORA_API_KEY:")
                out.line(key)
            out.stdout.flush()
        for warning in outcome.warnings:
            self._warnings.setdefault(warning, []).append(name)
        for condition in status.get("conditions", []):
            if condition["type"] == "Ready" and condition["status"] == "False":
                self._cli.out.warn(f"{name} is not ready: {condition['reason']}: {condition['message']}")

    def pruned(self, found: Prunable) -> None:
        """One thing is deleted, or in a dry run would be."""
        self._rows.append({"name": found.name, "change": "pruned"})
        if not self._as_json:
            would = " (dry run)" if self._dry_run else ""
            self._cli.out.line(f"{found.name} {self._cli.out.style('pruned', STYLES['pruned'])}{would}")

    def refused(self, name: str, error: StatusError) -> None:
        """One thing could not be read or was refused."""
        problems: list[str] = self._cli.load("aspora.cli.wanted:problems_of")(error)
        self._rows.append({"name": name, "change": FAILED, "problems": problems})
        self._code = exit_codes.REFUSED
        print_problems(self._cli.out, name, problems)

    def lost(self, lost: Lost) -> None:
        """The server went away; what was told before stands."""
        out, self._code = self._cli.out, exit_codes.UNAVAILABLE
        for word, items in ((IN_DOUBT, [lost.item] if lost.item else []), (NOT_TRIED, lost.untried)):
            for item in items:
                name = "/".join(p for p in (item.object["kind"].lower(), item.domain, item.name) if p)
                self._rows.append({"name": name, "change": word})
                if not self._as_json:
                    out.line(f"{name} {out.style(word, STYLES[word])}")
        meant = (
            "apply again, which writes only what is missing" if lost.item else "whether controllers saw it is unknown"
        )
        out.error(f"the server was lost on the way: {lost.error.message}; then {meant}")

    def finish(self) -> int:
        """Warnings, equal ones as one; the last line and the exit code."""
        for warning, names in self._warnings.items():
            self._cli.out.warn(f"{names[0]}: {warning}" if len(names) == 1 else f"{warning} ({_counted(names)})")
        if self._as_json:
            self._cli.out.json(self._rows)
        elif self._rows:
            words = (*STYLES, FAILED)
            counts = {word: sum(row["change"] == word for row in self._rows) for word in words}
            total = ", ".join(f"{n} {word}" for word, n in counts.items() if n)
            self._cli.out.line(total + (" (dry run, nothing is stored)" if self._dry_run else ""))
        return self._code


def _counted(names: Sequence[str]) -> str:
    """`5 skills`, of names like `skill/wealth/create-goal`."""
    kinds = {name.partition("/")[0] for name in names}
    return f"{len(names)} {kinds.pop() if len(kinds) == 1 else 'object'}s"
