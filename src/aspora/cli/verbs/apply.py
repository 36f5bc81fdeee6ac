"""`aspora apply`: make the server hold what a folder or manifest says."""

import argparse
import time
from collections.abc import Mapping, Sequence
from typing import Any

from aspora.cli import exit_codes
from aspora.cli.app import Cli
from aspora.cli.applying import MANAGER, Applied, Applier, Wanted, apply_all, revision_text
from aspora.cli.output import Progress
from aspora.cli.printing import print_problems, qualified_name
from aspora.cli.pruning import Prunable, prunable, prune
from aspora.cli.rest import Rest
from aspora.cli.snapshot import Snapshot, changes, snapshot
from aspora.cli.targets import DEFAULT_DOMAIN, add_domain_option, named
from aspora.meta.errors import Invalid, StatusError
from aspora.meta.selectors import matches_labels, parse_selector

EXAMPLES = """examples:
  aspora apply -f skills/                       every domain and skill in the tree
  aspora apply -f skills/wealth/create-goal     one skill
  aspora apply -f models.yaml                   manifests, several in a file
  aspora get models -o yaml | aspora apply -f -
  aspora apply -f skills/ --dry-run             what would happen
  aspora apply -f skills/ --watch               again at every change, Ctrl-C ends
  aspora apply -f models/ --prune -l team=red   and delete what this team no longer has in models/

Each field belongs to the manager (--field-manager) that applied it. What another one has set otherwise is a conflict:
nothing changes until you leave the field out, or take it over with --force-conflicts.
"""

FAILED = "failed"
STYLES = {"created": "green", "configured": "yellow", "unchanged": "dim", "pruned": "red"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("paths", nargs="*", metavar="PATH", help="like -f")
    parser.add_argument(
        "-f", "--file", action="append", default=[], help="a skill's, a domain's or a tree's folder, a manifest, or -"
    )
    add_domain_option(parser)
    parser.add_argument("--dry-run", action="store_true", help="go the whole way on the server but store nothing")
    parser.add_argument("--lenient", action="store_true", help="accept skills written for other tools")
    parser.add_argument("--no-wait", action="store_true", help="do not wait until the controllers have seen it")
    parser.add_argument("--watch", action="store_true", help="follow edits and apply what changed, until Ctrl-C")
    parser.add_argument("--field-manager", default=MANAGER, metavar="NAME", help=f"who applies (default: {MANAGER})")
    parser.add_argument(
        "--force-conflicts", action="store_true", help="take over fields that others have set otherwise"
    )
    parser.add_argument("-l", "--selector", default="", help="only what has these labels, as key=value")
    parser.add_argument("--prune", action="store_true", help="delete what was applied before and is not there any more")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="how to print")


def paths_of(args: argparse.Namespace) -> list[str]:
    """What was named, with or without -f.

    Raises:
        ValueError: Nothing was, or a name is empty.
    """
    paths = [*args.file, *args.paths]
    if not paths:
        raise ValueError("say what: aspora apply -f skills/ (a folder, a manifest, or - for standard input)")
    return named(paths)


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
        self._rows.append({"name": name, "change": outcome.change, "revision": status.get("latestRevision")})
        if not self._as_json:
            out = self._cli.out
            would = " (dry run)" if self._dry_run else ""
            out.line(f"{name} {out.style(outcome.change, STYLES[outcome.change])}{revision_text(outcome)}{would}")
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


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Load, write, wait, tell; with --watch again and again."""
    paths = paths_of(args)
    _check_options(args, paths)
    domain = args.domain or cli.settings.domain or DEFAULT_DOMAIN
    rest = cli.rest()
    applier = Applier(rest, dry_run=args.dry_run, domain=domain, manager=args.field_manager, force=args.force_conflicts)
    known: dict[str, Wanted] = {}
    before = snapshot(paths) if args.watch else {}
    report = _apply(args, cli, applier, paths, known=known)
    if args.prune:
        _prune(args, cli, rest, report)
    code = report.finish()
    return _watch(args, cli, applier, paths, known=known, since=before) if args.watch else code


def _check_options(args: argparse.Namespace, paths: Sequence[str]) -> None:
    if args.watch and "-" in paths:
        raise ValueError("standard input can't be watched; name a folder or a file")
    if args.watch and args.prune:
        raise ValueError("--prune does not go with --watch; prune when you have finished")
    if args.prune and not args.selector and args.field_manager == MANAGER:
        raise ValueError("--prune must know what belongs together: add -l team=red, or a --field-manager of its own")


def _prune(args: argparse.Namespace, cli: Cli, rest: Rest, report: "Report") -> None:
    """Delete what this manager applied and does not have any more; nothing at all when anything went wrong."""
    if report.has_failed:
        cli.out.warn(
            "nothing is pruned, because not everything could be applied; mend what stands above and apply again"
        )
        return
    if report.passed_over:
        names = ", ".join(report.passed_over)
        error = Invalid(f"nothing is pruned, because {names} can't be told for a manifest; mend or remove it")
        report.refused("prune", error)
        return
    for found in prunable(rest, report.objects, manager=args.field_manager, selector=args.selector):
        try:
            prune(rest, found, dry_run=args.dry_run)
            report.pruned(found)
        except StatusError as e:
            report.refused(found.name, e)


def _apply(
    args: argparse.Namespace, cli: Cli, applier: Applier, paths: list[str], *, known: dict[str, Wanted]
) -> "Report":
    """One round over everything that is not `known` to be applied already; `known` learns what is."""
    report = Report(cli, dry_run=args.dry_run, as_json=args.output == "json")
    selector = parse_selector(args.selector)
    items: list[Wanted] = []
    for path in paths:
        try:
            found = cli.load("aspora.cli.wanted:find_wanted")(path, domain=args.domain, lenient=args.lenient)
        except StatusError as e:
            report.refused(path, e)
            continue
        report.passed_over += found.passed_over
        for refused in found.refused:
            report.refused(refused.source, refused.error)
        chosen = [w for w in found.wanted if matches_labels(selector, w.object["metadata"].get("labels") or {})]
        items += [item for item in chosen if known.get(item.source) != item]

    with Progress(cli.out, total=len(items) if len(items) > 1 else 0, title="applying") as progress:

        def done(item: Wanted, outcome: Applied | StatusError) -> None:
            progress.clear()
            report.done(item, outcome)
            if isinstance(outcome, Applied):
                known[item.source] = item

        wait = not (args.no_wait or args.dry_run)
        apply_all(applier, items, wait=wait, on_written=lambda item: progress.step(item.name), on_done=done)
    return report


def _watch(
    args: argparse.Namespace,
    cli: Cli,
    applier: Applier,
    paths: list[str],
    *,
    known: dict[str, Wanted],
    since: Snapshot,
) -> int:
    cli.out.note(f"watching {', '.join(paths)} (Ctrl-C ends)")
    try:
        for changed in changes(paths, since=since, sleep=time.sleep):
            cli.out.note(f"{time.strftime('%H:%M:%S')}  changed: {changed}")
            try:
                _apply(args, cli, applier, paths, known=known).finish()
            except StatusError as e:
                cli.out.error(e.message)
    except KeyboardInterrupt:
        cli.out.note("")
    return exit_codes.OK
