"""`aspora logs`: the trace of an execution, or a skill's executions as they come."""

import argparse
import time
from typing import Any

from aspora.cli import exit_codes
from aspora.cli.app import Cli
from aspora.cli.choosing import meant_elsewhere
from aspora.cli.executing import events_path, execution_path, has_ended, is_execution
from aspora.cli.rest import Rest
from aspora.cli.targets import DEFAULT_DOMAIN, Target, add_domain_option, named, split_name
from aspora.cli.trace import event_lines, failure_lines, heading, tree
from aspora.client.paths import object_path
from aspora.meta.names import quoted

EXAMPLES = """examples:
  aspora logs EXEC-20260218120000-7f3a09c1
  aspora logs EXEC-202602181200              a unique prefix is enough
  aspora logs EXEC-2026 --follow             while it runs
  aspora logs wealth/fx-timing               follow a skill's executions, Ctrl-C ends
  aspora logs wealth/fx-timing --no-follow   its last ten, then stop
  aspora logs wealth/fx-timing --tail 5      its last five, then stop; with --follow, then go on
"""

POLL_SECONDS = 0.5
DEFAULT_TAIL = 10
MAX_TAIL = 1000


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("what", help="an execution's id or a unique prefix of it, or a skill")
    add_domain_option(parser)
    following = parser.add_mutually_exclusive_group()
    following.add_argument(
        "-f", "--follow", action="store_true", help="stream an execution's events until it ends; a skill's after --tail"
    )
    following.add_argument(
        "--no-follow",
        action="store_true",
        help=f"of a skill: its last executions ({DEFAULT_TAIL}, or --tail), then stop",
    )
    parser.add_argument("--tail", type=int, metavar="N", help="of a skill: its last N executions, without following")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="how to print")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Print or follow."""
    named([args.what])
    if args.tail is not None and not 1 <= args.tail <= MAX_TAIL:
        raise ValueError(f"--tail is {args.tail}; write a whole number from 1 to {MAX_TAIL}, or leave it out to follow")
    rest, as_json = cli.rest(), args.output == "json"
    if is_execution(args.what):
        if args.tail is not None:
            raise ValueError(f"--tail is for a skill's executions, and {quoted(args.what)} is one; leave --tail out")
        found = rest.call("GET", execution_path(args.what, domain=args.domain))
        _show(cli, rest, found, follow=args.follow, as_json=as_json)
        return exit_codes.OK
    domain, skill = split_name(args.what, domain=args.domain)
    domain = domain or cli.settings.domain or DEFAULT_DOMAIN
    with meant_elsewhere(rest, Target(rest.resource("skills"), domain, skill)):
        rest.call("GET", object_path("skills", skill, domain=domain))
    seen = {e["metadata"]["name"] for e in _latest(rest, domain, skill, limit=100) if has_ended(e)}
    if args.tail or args.no_follow:
        for execution in reversed(_latest(rest, domain, skill, limit=args.tail or DEFAULT_TAIL)):
            _show(cli, rest, execution, follow=False, as_json=as_json)
    if args.follow or not (args.tail or args.no_follow):
        _follow_skill(cli, rest, domain, skill, seen=seen, as_json=as_json)
    return exit_codes.OK


def _latest(rest: Rest, domain: str, skill: str, *, limit: int) -> list[dict[str, Any]]:
    """The newest executions first."""
    path = object_path("executions", domain=domain)
    items: list[dict[str, Any]] = rest.call("GET", path, query={"skill": skill, "limit": limit})["items"]
    return items


def _show(cli: Cli, rest: Rest, execution: dict[str, Any], *, follow: bool, as_json: bool) -> None:
    if follow and not has_ended(execution):
        _stream(cli, rest, execution)
        return
    events = list(rest.stream(events_path(execution)))
    if as_json:
        cli.out.json({"execution": execution, "events": events})
        return
    for text in [*tree(execution, events), *failure_lines(execution)]:
        cli.out.line(text)


def _stream(cli: Cli, rest: Rest, execution: dict[str, Any]) -> None:
    """Events as they happen, then the execution as it ended."""
    cli.out.line(heading(execution))
    for event in rest.stream(events_path(execution), query={"follow": "true"}):
        for text in event_lines(execution, event, branch="├─"):
            cli.out.line(text)
        cli.out.stdout.flush()
    ended = rest.call("GET", object_path("executions", execution["metadata"]["name"]))
    cli.out.line(f"└─ {heading(ended)}")
    for text in failure_lines(ended):
        cli.out.line(text)


def _follow_skill(cli: Cli, rest: Rest, domain: str, skill: str, *, seen: set[str], as_json: bool) -> None:
    """Each execution of a skill once it has ended, from now on, until Ctrl-C."""
    cli.out.note(f"following {skill}: executions that end from now on (Ctrl-C stops, --no-follow prints the last ones)")
    while True:
        for execution in reversed(_latest(rest, domain, skill, limit=100)):
            name = execution["metadata"]["name"]
            if name not in seen and has_ended(execution):
                seen.add(name)
                _show(cli, rest, execution, follow=False, as_json=as_json)
                cli.out.stdout.flush()
        time.sleep(POLL_SECONDS)
