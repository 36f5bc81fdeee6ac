"""`aspora wait`: until objects are as they should be."""

import argparse
import time

from aspora.cli import exit_codes
from aspora.cli.app import Cli, report
from aspora.cli.choosing import chosen_targets, meant_elsewhere
from aspora.cli.targets import add_domain_option
from aspora.cli.waiting import parse_wish, seconds_of, wait_until
from aspora.meta.errors import StatusError, Timeout

EXAMPLES = """examples:
  aspora wait skill/wealth/create-goal --for condition=Ready
  aspora wait skills -l team=payments --for condition=Ready --timeout 2m
  aspora wait execution/EXEC-20260218120000-7f3a09c1 --for .status.state=Succeeded
  aspora wait skill/wealth/create-goal --for delete --timeout 30s

Exit code 0: all are so; 1: the time is up.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("kind", help="a kind, or kind/name")
    parser.add_argument("names", nargs="*", default=[], help="names, as name or domain/name")
    add_domain_option(parser)
    parser.add_argument("-l", "--selector", default="", help="instead of names: labels, as key=value")
    parser.add_argument(
        "--for",
        dest="wish",
        required=True,
        metavar="WISH",
        help="delete, create, condition=TYPE[=STATUS], or .path.to.field=VALUE",
    )
    parser.add_argument("--timeout", default="30s", metavar="TIME", help="for all of them (default: 30s)")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Wait for each; one that is refused does not stop the others."""
    wish, seconds = parse_wish(args.wish), seconds_of(args.timeout)
    rest, code = cli.rest(), exit_codes.OK
    deadline = time.monotonic() + seconds
    targets = chosen_targets(args, rest, default_domain=cli.settings.domain)
    for target in targets:
        name = "/".join(part for part in (target.resource["singularName"], target.domain, target.name) if part)
        try:
            with meant_elsewhere(rest, target):
                wait_until(rest, target, wish, deadline=deadline, tell=cli.out.note)
            cli.out.line(f"{name} {_done(args.wish)}")
            cli.out.stdout.flush()
        except Timeout as e:
            report(e, cli.out)
            code = exit_codes.FAILED
        except StatusError as e:
            code = report(e, cli.out)
    return code


def _done(wish: str) -> str:
    """What to say of an object that came to it."""
    return {"delete": "deleted", "create": "created"}.get(wish, f"has {wish}")
