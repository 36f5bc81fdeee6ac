"""`aspora get`: objects and records."""

import argparse
import contextlib
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from aspora.cli import exit_codes
from aspora.cli.app import Cli
from aspora.cli.choosing import meant_elsewhere
from aspora.cli.printing import print_objects, print_table, without_managers
from aspora.cli.rest import TABLE, Rest
from aspora.cli.targets import Target, add_domain_choice, add_output_option, named, parse_target
from aspora.client.paths import object_path
from aspora.meta.errors import Forbidden
from aspora.meta.names import nearest, quoted

EXAMPLES = """examples:
  aspora get skills
  aspora get skill wealth/create-goal -o yaml
  aspora get revisions -d wealth -l aspora.dev/skill=create-goal
  aspora get executions --skill wealth/fx-timing --since 1h --state Failed
  aspora get budgets -d wealth               what was spent, of which cap, until when
  aspora get calls --skill wealth/fx-timing --since 1h --state InDoubt
  aspora get events -w                       what happens to objects, as it happens
  aspora get skills -o name | xargs -n1 aspora describe
"""

_AGO = re.compile(r"(\d+)([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("kind", help="skills, revisions, executions …; `aspora api-resources` lists them, or kind/name")
    parser.add_argument("names", nargs="*", default=[], help="names, as name or domain/name; none for all")
    add_domain_choice(parser)
    add_output_option(parser)
    parser.add_argument("-l", "--selector", default="", help="labels, as key=value,key!=value,'key in (a,b)'")
    parser.add_argument("--field-selector", default="", help="fields, as spec.role=field")
    parser.add_argument("--limit", type=int, help="at most so many")
    parser.add_argument("-w", "--watch", action="store_true", help="go on with every change, until Ctrl-C")
    parser.add_argument("--show-managed-fields", action="store_true", help="say who manages which field")
    records = parser.add_argument_group("executions and calls only")
    records.add_argument("--skill", help="only this skill's, as name or domain/name")
    records.add_argument("--since", help="only those of the last while, as 30m, 2h or 1d, or after an RFC 3339 time")
    states = "Pending, Running, Succeeded, Failed or Cancelled; of calls Settled, InDoubt or Open"
    records.add_argument("--state", help=f"of executions {states}")


def since_time(text: str, *, option: str = "--since") -> str:
    """`2h` or an RFC 3339 time as an RFC 3339 time.

    Raises:
        ValueError: It is neither.
    """
    try:
        if match := _AGO.fullmatch(text):
            moment = datetime.now(UTC) - timedelta(**{_UNITS[match[2]]: int(match[1])})
        else:
            moment = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise ValueError(f"{option} {quoted(text)} is not a time; write 30m, 2h, 1d or 2026-02-18T12:00:00Z") from None
    except OverflowError:
        raise ValueError(f"{option} {quoted(text)} is before all time; leave it out to see everything") from None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def list_query(args: argparse.Namespace, target: Target) -> tuple[str, dict[str, Any]]:
    """Path and query of a list, with the options that only executions and calls have."""
    domain, query = target.domain, {"labelSelector": args.selector, "fieldSelector": args.field_selector}
    if args.limit is not None:
        query["limit"] = args.limit
    special = {"skill": args.skill, "since": args.since, "state": args.state}
    if target.resource["kind"] in {"Execution", "Call"}:
        if args.skill:
            where, slash, name = args.skill.partition("/")
            domain, special["skill"] = (where, name) if slash else (domain, args.skill)
        special["since"] = since_time(args.since) if args.since else None
        query = {"limit": args.limit} | {k: v for k, v in special.items() if v}
    elif any(special.values()):
        raise ValueError("--skill, --since and --state are for executions and calls: aspora get executions …")
    return object_path(target.resource["name"], domain=domain), query


def pages(rest: Rest, path: str, query: dict[str, Any], *, table: bool) -> dict[str, Any]:
    """All pages of a list as one answer, unless a limit was asked for."""
    headers = {"Accept": TABLE} if table else {}
    rows = "rows" if table else "items"
    answer: dict[str, Any] = rest.call("GET", path, query=query, headers=headers)
    token = answer["metadata"].get("continue")
    while token and not query.get("limit"):
        more = rest.call("GET", path, query={**query, "continue": token}, headers=headers)
        answer[rows] += more[rows]
        token = more["metadata"].get("continue")
    return answer


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Print what was asked for."""
    word, slash, name = args.kind.partition("/")
    names = named([name, *args.names] if slash else args.names)
    rest = cli.rest()
    resource = rest.resource(word)
    domain = "" if args.all_domains else args.domain or ("" if names else cli.settings.domain)
    targets = [
        parse_target(resource, n, domain=domain, default_domain=cli.settings.domain, all_domains=args.all_domains)
        for n in names or [""]
    ]
    if args.watch:
        follow: Any = cli.load("aspora.cli.following:follow")
        follow(args, cli, rest, _one(targets))
    elif args.output in {"table", "wide"}:
        _print_tables(args, cli, rest, targets)
    else:
        _print_objects(args, cli, rest, targets)
    return exit_codes.OK


def _one(targets: list[Target]) -> Target:
    if len(targets) > 1:
        raise ValueError("-w follows a list or one name; several names are waited for with 'aspora wait'")
    return targets[0]


def _listed(args: argparse.Namespace, cli: Cli, rest: Rest, target: Target, *, table: bool) -> dict[str, Any]:
    """A list; when a skill's executions are none, a skill that is not there is told."""
    path, query = list_query(args, target)
    listing = pages(rest, path, query, table=table)
    if args.skill and not listing["rows" if table else "items"]:
        with contextlib.suppress(Forbidden):
            _warn_of_unknown_skill(cli, rest, args.skill, domain=target.domain)
    return listing


def _warn_of_unknown_skill(cli: Cli, rest: Rest, skill: str, *, domain: str) -> None:
    where, _, name = skill.rpartition("/")
    domain = where or domain
    places = [obj["metadata"] for obj in rest.items(object_path("skills"))]
    known = [f"{place['domain']}/{place['name']}" if domain else place["name"] for place in places]
    wanted = f"{domain}/{name}" if domain else name
    if wanted not in known:
        close = nearest(wanted, known)
        near = f"did you mean {close!r}?" if close else f"see: aspora get skills{cli.place}"
        cli.out.warn(f"there is no skill {quoted(wanted)}; {near}")


def _print_tables(args: argparse.Namespace, cli: Cli, rest: Rest, targets: list[Target]) -> None:
    tables: list[dict[str, Any]] = []
    for target in targets:
        if target.name:
            path = object_path(target.resource["name"], target.name, domain=target.domain)
            with meant_elsewhere(rest, target):
                tables.append(rest.call("GET", path, headers={"Accept": TABLE}))
        else:
            tables.append(_listed(args, cli, rest, target, table=True))
    table = tables[0]
    for more in tables[1:]:
        table["rows"] += more["rows"]
    where = f" in domain {targets[0].domain!r}" if targets[0].domain else ""
    print_table(cli.out, table, wide=args.output == "wide", empty=f"no {targets[0].resource['name']}{where}")


def _print_objects(args: argparse.Namespace, cli: Cli, rest: Rest, targets: list[Target]) -> None:
    dump = cli.load("yaml:safe_dump") if args.output == "yaml" else str
    for target in targets:
        if target.name:
            with meant_elsewhere(rest, target):
                found = [rest.call("GET", object_path(target.resource["name"], target.name, domain=target.domain))]
        else:
            listing = _listed(args, cli, rest, target, table=False)
            found = [listing] if args.output in {"json", "yaml"} else listing["items"]
        if not args.show_managed_fields:
            found = [without_managers(one) for one in found]
        singular = target.resource["singularName"]
        print_objects(cli.out, found, output=args.output, singular=singular, dump_yaml=dump)
