"""`aspora apply`: make the server hold what a folder or manifest says."""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from aspora.cli import exit_codes
from aspora.cli.app import Cli
from aspora.cli.apply_all import Outcome, apply_all
from aspora.cli.apply_report import Report
from aspora.cli.applying import MANAGER, Applied, Applier, Known, Wanted
from aspora.cli.output import Progress
from aspora.cli.pruning import leftovers, prune
from aspora.cli.rest import Rest
from aspora.cli.snapshot import Snapshot, changes, snapshot
from aspora.cli.targets import DEFAULT_DOMAIN, add_domain_option, named
from aspora.meta.errors import Invalid, NotFound, StatusError
from aspora.meta.names import quoted
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

MAX_SHOWN_LABELS = 5


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
    parser.add_argument(
        "-A", "--all-domains", action="store_true", help="prune in every domain, as this is all that is applied"
    )
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


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Load, write, wait, tell; with --watch again and again."""
    paths = paths_of(args)
    _check_options(args, paths)
    domain = args.domain or cli.settings.domain or DEFAULT_DOMAIN
    rest = cli.rest()
    applier = Applier(rest, dry_run=args.dry_run, domain=domain, manager=args.field_manager, force=args.force_conflicts)
    known = Known()
    before = snapshot(paths) if args.watch else {}
    report = _apply(args, cli, applier, _read(args, cli, paths), known=known)
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
    if args.all_domains and not args.prune:
        raise ValueError("-A says where to prune; add --prune, or leave it out")


def _prune(args: argparse.Namespace, cli: Cli, rest: Rest, report: Report) -> None:
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
    left = leftovers(
        rest,
        report.objects,
        manager=args.field_manager,
        selector=args.selector,
        domain=args.domain,
        everywhere=args.all_domains,
    )
    for found in left.prunable:
        try:
            prune(rest, found, dry_run=args.dry_run)
            report.pruned(found)
        except StatusError as e:
            report.refused(found.name, e)
    if left.shared:
        cli.out.warn(f"not pruned, because another field manager applies it too: {', '.join(left.shared)}")
    if left.elsewhere:
        cli.out.warn(
            f"not pruned, because nothing here is of its domain or its cluster-wide kind: {', '.join(left.elsewhere)};"
            " if this is all that you apply, prune everywhere with -A"
        )


@dataclass(slots=True)
class _Round:
    """What the paths hold now."""

    items: list[Wanted] = field(default_factory=list[Wanted])
    refused: list[tuple[str, StatusError]] = field(default_factory=list[tuple[str, StatusError]])
    passed_over: list[str] = field(default_factory=list[str])


def _read(args: argparse.Namespace, cli: Cli, paths: list[str]) -> _Round:
    """Load it all.

    Raises:
        NotFound: The selector leaves nothing.
    """
    read, selector, left_out = _Round(), parse_selector(args.selector), list[Wanted]()
    for path in paths:
        try:
            found = cli.load("aspora.cli.wanted:find_wanted")(path, domain=args.domain, lenient=args.lenient)
        except StatusError as e:
            read.refused.append((path, e))
            continue
        read.passed_over += found.passed_over
        read.refused += [(refused.source, refused.error) for refused in found.refused]
        for item in found.wanted:
            is_chosen = matches_labels(selector, item.object["metadata"].get("labels") or {})
            (read.items if is_chosen else left_out).append(item)
    if left_out and not read.items and not read.refused:
        raise NotFound(
            f"nothing in {', '.join(paths)} has the labels {quoted(args.selector)}, so nothing is applied"
            f"{' or pruned' if args.prune else ''}; see the labels of what is there ({_labels_of(left_out)}),"
            " or leave -l out"
        )
    return read


def _labels_of(items: Sequence[Wanted]) -> str:
    """The labels there are, the first few."""
    labels = {f"{k}={v}" for item in items for k, v in (item.object["metadata"].get("labels") or {}).items()}
    shown = sorted(labels)[:MAX_SHOWN_LABELS]
    return ", ".join([*shown, "…"] if len(labels) > len(shown) else shown) or "none"


def _apply(args: argparse.Namespace, cli: Cli, applier: Applier, read: _Round, *, known: Known) -> Report:
    """One round over everything that is not `known` to be applied already; `known` learns what is."""
    report = Report(cli, dry_run=args.dry_run, as_json=args.output == "json")
    report.passed_over += read.passed_over
    for source, error in read.refused:
        report.refused(source, error)
    items = known.fresh(read.items)
    with Progress(cli.out, total=len(items) if len(items) > 1 else 0, title="applying") as progress:

        def done(item: Wanted, outcome: Outcome) -> None:
            progress.clear()
            report.done(item, outcome)
            if isinstance(outcome, Applied):
                known.learn(item)

        wait = not (args.no_wait or args.dry_run)
        lost = apply_all(applier, items, wait=wait, on_written=lambda item: progress.step(item.name), on_done=done)
    if lost is not None:
        report.lost(lost)
    return report


def _watch(
    args: argparse.Namespace, cli: Cli, applier: Applier, paths: list[str], *, known: Known, since: Snapshot
) -> int:
    cli.out.note(f"watching {', '.join(paths)} (Ctrl-C ends)")
    try:
        for changed in changes(paths, since=since, sleep=time.sleep):
            try:
                _again(args, cli, applier, paths, known=known, changed=changed)
            except StatusError as e:
                cli.out.error(e.message)
    except KeyboardInterrupt:
        cli.out.note("")
    return exit_codes.OK


def _again(
    args: argparse.Namespace, cli: Cli, applier: Applier, paths: list[str], *, known: Known, changed: str
) -> None:
    """Apply what has changed, and tell what is gone; a change that comes to nothing is not told."""
    read = _read(args, cli, paths)
    gone = [] if read.refused else known.forget_gone(read.items)
    if not (read.refused or gone or known.fresh(read.items)):
        return
    cli.out.note(f"{time.strftime('%H:%M:%S')}  changed: {changed}")
    for item in gone:
        kind, where = item.object["kind"].lower(), f"{item.domain}/{item.name}" if item.domain else item.name
        way = f"to delete it: aspora delete {kind} {where}{cli.place}"
        cli.out.note(f"{kind}/{where} is not there any more, and stays on the server; {way}")
    _apply(args, cli, applier, read, known=known).finish()
