"""`aspora logs`: the trace of an execution, or a skill's executions as they come."""

import argparse
import time
from typing import Any

from aspora.cli import exit_codes
from aspora.cli.app import Cli
from aspora.cli.executing import events_path, execution_path, has_ended, is_execution
from aspora.cli.rest import Rest
from aspora.cli.targets import DEFAULT_DOMAIN, add_domain_option, named, split_name
from aspora.cli.trace import event_lines, failure_lines, heading, tree
from aspora.client.paths import object_path

EXAMPLES = """examples:
  aspora logs EXEC-20260218120000-7f3a09c1
  aspora logs EXEC-202602181200              a unique prefix is enough
  aspora logs EXEC-2026 --follow             while it runs
  aspora logs wealth/fx-timing               follow a skill's executions, Ctrl-C ends
  aspora logs wealth/fx-timing --tail 5      its last five, then stop
"""

POLL_SECONDS = 0.5


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("what", help="an execution's id or a unique prefix of it, or a skill")
    add_domain_option(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="stream events until the execution ends")
    parser.add_argument("--tail", type=int, metavar="N", help="of a skill: its last N executions, without following")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="how to print")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Print or follow."""
    named([args.what])
    rest = cli.rest()
    if is_execution(args.what):
        found = rest.call("GET", execution_path(args.what, domain=args.domain))
        _show(cli, rest, found, follow=args.follow, as_json=args.output == "json")
        return exit_codes.OK
    domain, skill = split_name(args.what, domain=args.domain)
    domain = domain or cli.settings.domain or DEFAULT_DOMAIN
    rest.call("GET", object_path("skills", skill, domain=domain))
    if args.tail is not None:
        for execution in reversed(_latest(rest, domain, skill, limit=args.tail)):
            _show(cli, rest, execution, follow=False, as_json=args.output == "json")
        return exit_codes.OK
    _follow_skill(cli, rest, domain, skill, as_json=args.output == "json")
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


def _follow_skill(cli: Cli, rest: Rest, domain: str, skill: str, *, as_json: bool) -> None:
    """Each execution of a skill once it has ended, from now on, until Ctrl-C."""
    seen = {e["metadata"]["name"] for e in _latest(rest, domain, skill, limit=100) if has_ended(e)}
    cli.out.note(f"waiting for executions of {skill} (Ctrl-C ends)")
    while True:
        for execution in reversed(_latest(rest, domain, skill, limit=100)):
            name = execution["metadata"]["name"]
            if name not in seen and has_ended(execution):
                seen.add(name)
                _show(cli, rest, execution, follow=False, as_json=as_json)
                cli.out.stdout.flush()
        time.sleep(POLL_SECONDS)
