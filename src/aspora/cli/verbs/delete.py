"""`aspora delete`: objects by name, by selector, or all that files hold."""

import argparse
import time
from collections.abc import Iterator, Mapping
from typing import Any

from aspora.cli import exit_codes
from aspora.cli.app import Cli, report
from aspora.cli.choosing import chosen_targets, meant_elsewhere
from aspora.cli.printing import qualified_name
from aspora.cli.rest import Rest
from aspora.cli.targets import Target, add_domain_option, named, parse_target
from aspora.cli.waiting import parse_wish, seconds_of, wait_until
from aspora.client.paths import object_path
from aspora.meta.errors import NotFound, StatusError

EXAMPLES = """examples:
  aspora delete skill wealth/create-goal
  aspora delete skills -l team=payments --dry-run
  aspora delete -f models.yaml
  aspora delete skill wealth/create-goal --cascade orphan     leave its revisions and routes
"""

PROPAGATION = {"background": "Background", "foreground": "Foreground", "orphan": "Orphan"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("kind", nargs="?", default="", help="a kind, or kind/name")
    parser.add_argument("names", nargs="*", default=[], help="names, as name or domain/name")
    parser.add_argument("-f", "--file", action="append", default=[], help="all that a folder or manifest holds, or -")
    add_domain_option(parser)
    parser.add_argument("-l", "--selector", default="", help="instead of names: labels, as key=value")
    parser.add_argument("--dry-run", action="store_true", help="go the whole way but delete nothing")
    parser.add_argument("--ignore-not-found", action="store_true", help="what is gone already counts as deleted")
    parser.add_argument(
        "--cascade", choices=tuple(PROPAGATION), help="what becomes of what it owns (default: background)"
    )
    parser.add_argument("--no-wait", action="store_true", help="do not wait until what holds it lets go")
    parser.add_argument("--timeout", default="60s", metavar="TIME", help="how long to wait for that (default: 60s)")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Delete each; one that fails does not stop the others."""
    rest, code = cli.rest(), exit_codes.OK
    deadline = time.monotonic() + seconds_of(args.timeout)
    for target in _targets(args, cli, rest):
        try:
            _delete(args, cli, rest, target, deadline=deadline)
        except NotFound as e:
            code = code if args.ignore_not_found else report(e, cli.out)
        except StatusError as e:
            code = report(e, cli.out)
    return code


def _targets(args: argparse.Namespace, cli: Cli, rest: Rest) -> list[Target]:
    if args.file and (args.kind or args.selector):
        raise ValueError("say files or kinds and names, not both")
    if args.file:
        return list(_in_files(args, cli, rest))
    if not args.kind:
        raise ValueError("say which: aspora delete skill wealth/create-goal")
    return chosen_targets(args, rest, default_domain=cli.settings.domain)


def _in_files(args: argparse.Namespace, cli: Cli, rest: Rest) -> Iterator[Target]:
    """What the files hold, the last first, so that domains come after what is in them; not what they only mention."""
    wanted: list[Any] = []
    for path in named(args.file):
        found = cli.load("aspora.cli.wanted:find_wanted")(path, domain=args.domain)
        if found.refused:
            raise found.refused[0].error
        wanted += [item for item in found.wanted if not item.if_absent]
    for item in reversed(wanted):
        resource = rest.resource(item.object["kind"])
        yield parse_target(resource, item.name, domain=item.domain, default_domain=args.domain or cli.settings.domain)


def _delete(args: argparse.Namespace, cli: Cli, rest: Rest, target: Target, *, deadline: float) -> None:
    path = object_path(target.resource["name"], target.name, domain=target.domain)
    query = {"dryRun": "All" if args.dry_run else None, "propagationPolicy": PROPAGATION.get(args.cascade)}
    with meant_elsewhere(rest, target):
        gone: Mapping[str, Any] = rest.call("DELETE", path, query=query)
    name = qualified_name(target.resource["singularName"], gone)
    if args.dry_run:
        cli.out.line(f"{name} would be deleted")
    elif not gone["metadata"].get("finalizers"):
        cli.out.line(f"{name} deleted")
    elif args.no_wait:
        cli.out.line(f"{name} is being deleted, held by {', '.join(gone['metadata']['finalizers'])}")
    else:
        cli.out.note(f"{name} waits for {', '.join(gone['metadata']['finalizers'])}")
        wait_until(rest, target, parse_wish("delete"), deadline=deadline, tell=cli.out.note)
        cli.out.line(f"{name} deleted")
