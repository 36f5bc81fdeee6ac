"""`aspora diff`: what `apply` would change."""

import argparse
from typing import Any

from aspora.cli import exit_codes
from aspora.cli.app import Cli
from aspora.cli.applying import MANAGER, Applier, Wanted
from aspora.cli.output import clean
from aspora.cli.printing import print_problems, qualified_name
from aspora.cli.rest import Rest
from aspora.cli.targets import DEFAULT_DOMAIN, add_domain_option
from aspora.cli.verbs.apply import paths_of
from aspora.meta.errors import StatusError, Unavailable

EXAMPLES = """examples:
  aspora diff -f skills/wealth/create-goal      settings and files
  aspora diff -f skills/ --summary              only what would be created or changed
  aspora diff -f models.yaml

Exit code 0: the same; 1: something differs; 4: the server would refuse something.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("paths", nargs="*", metavar="PATH", help="like -f")
    parser.add_argument(
        "-f", "--file", action="append", default=[], help="a skill's, a domain's or a tree's folder, a manifest, or -"
    )
    add_domain_option(parser)
    parser.add_argument("--lenient", action="store_true", help="accept skills written for other tools")
    parser.add_argument("--field-manager", default=MANAGER, metavar="NAME", help=f"who applies (default: {MANAGER})")
    parser.add_argument("--force-conflicts", action="store_true", help="as if fields of others were taken over")
    parser.add_argument("--summary", action="store_true", help="one line for each thing that differs")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Compare everything; nothing is changed."""
    paths = paths_of(args)
    rest = cli.rest()
    applier = Applier(
        rest,
        dry_run=True,
        domain=args.domain or cli.settings.domain or DEFAULT_DOMAIN,
        manager=args.field_manager,
        force=args.force_conflicts,
    )
    differing, code = 0, exit_codes.OK
    for path in paths:
        found = cli.load("aspora.cli.wanted:find_wanted")(path, domain=args.domain, lenient=args.lenient)
        for refused in found.refused:
            code = exit_codes.REFUSED
            _refuse(cli, refused.source, refused.error)
        for item in found.wanted:
            try:
                differing += _compare(args, cli, rest, applier, item)
            except Unavailable:
                raise
            except StatusError as e:
                code = exit_codes.REFUSED
                _refuse(cli, item.source, e)
    return code or (exit_codes.FAILED if differing else exit_codes.OK)


def _compare(args: argparse.Namespace, cli: Cli, rest: Rest, applier: Applier, item: Wanted) -> bool:
    """Print how one thing differs; whether it does."""
    applied = applier.apply(item)
    if applied.change == "unchanged":
        return False
    name = qualified_name(item.object["kind"].lower(), applied.object)
    if args.summary:
        cli.out.line(f"{name} would be {applied.change}")
        return True
    differences: Any = cli.load("aspora.cli.differences")
    for line in differences.object_difference(applied, name):
        _print(cli, line)
    for line in differences.files_difference(rest, item, applied, name):
        _print(cli, line)
    return True


def _print(cli: Cli, line: str) -> None:
    style = {"+": "green", "-": "red", "@": "cyan", "#": "yellow"}.get(line[:1])
    cli.out.line(cli.out.style(clean(line), style) if style else clean(line))


def _refuse(cli: Cli, name: str, error: StatusError) -> None:
    problems: list[str] = cli.load("aspora.cli.wanted:problems_of")(error)
    print_problems(cli.out, name, problems)
