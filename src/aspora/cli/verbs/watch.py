"""`aspora watch`: changes of one kind as they happen."""

import argparse
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from aspora.cli import exit_codes
from aspora.cli.app import Cli
from aspora.cli.printing import qualified_name
from aspora.cli.rest import Rest
from aspora.cli.targets import Target, add_domain_choice, parse_target
from aspora.cli.watching import changes
from aspora.client.paths import object_path
from aspora.meta.errors import Expired, MethodNotAllowed

EXAMPLES = """examples:
  aspora watch skills
  aspora watch routes -d wealth
  aspora watch skills -o json | jq .object.status
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("kind", help="the kind to watch")
    parser.add_argument("name", nargs="?", default="", help="only this one")
    add_domain_choice(parser)
    parser.add_argument("-l", "--selector", default="", help="labels, as key=value")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="a line, or JSON, a change")


def summary(obj: Mapping[str, Any]) -> str:
    """What an object's summary condition says; for an event, what happened to what."""
    if obj.get("kind") == "Event":
        regarding: Mapping[str, Any] = obj.get("regarding") or {}
        what = f"{str(regarding.get('kind', '')).lower()}/{regarding.get('name')}"
        return f"{obj.get('reason')}  {what}  {obj.get('message')}"
    for condition in (obj.get("status") or {}).get("conditions", []):
        if condition["type"] == "Ready":
            return f"Ready={condition['status']} {condition['reason']}"
    return ""


def require_watch(resource: Mapping[str, Any]) -> None:
    """Refuse what can't be watched, with what would do.

    Raises:
        MethodNotAllowed: The kind has no such verb.
    """
    if "watch" in resource["verbs"]:
        return
    plural = resource["name"]
    if plural == "executions":
        raise MethodNotAllowed(
            "executions are records, which can't be watched; a skill's are followed with 'aspora logs DOMAIN/SKILL', "
            "one with 'aspora logs EXEC-… --follow'"
        )
    raise MethodNotAllowed(f"{plural} are records, which can't be watched; look again with 'aspora get {plural}'")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Print what is there, then every change, until Ctrl-C."""
    rest = cli.rest()
    resource = rest.resource(args.kind)
    require_watch(resource)
    domain = "" if args.all_domains else args.domain
    target = parse_target(
        resource, args.name, domain=domain, default_domain=cli.settings.domain, all_domains=args.all_domains
    )
    query = {"labelSelector": args.selector}
    if target.name:
        query["fieldSelector"] = f"metadata.name={target.name}"
    for event in _all_changes(cli, rest, target, query):
        if args.output == "json":
            cli.out.line(json.dumps(event, ensure_ascii=False))
        else:
            cli.out.line(_line(event, resource["singularName"]))
        cli.out.stdout.flush()
    return exit_codes.OK


def _all_changes(cli: Cli, rest: Rest, target: Target, query: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    """What is there as ADDED, then what changes; both again when history was lost in between."""
    path = object_path(target.resource["name"], domain=target.domain)
    while True:
        page = rest.call("GET", path, query={**query, "limit": 1000})
        since: str = page["metadata"]["resourceVersion"]
        yield from ({"type": "ADDED", "object": obj} for obj in page["items"])
        while token := page["metadata"].get("continue"):
            page = rest.call("GET", path, query={**query, "limit": 1000, "continue": token})
            yield from ({"type": "ADDED", "object": obj} for obj in page["items"])
        try:
            yield from changes(rest, path, query=query, since=since, tell=cli.out.note)
        except Expired as e:
            cli.out.note(f"{e.message}; what is there now follows")


def _line(event: Mapping[str, Any], singular: str) -> str:
    obj = event["object"]
    time = datetime.now().astimezone().strftime("%H:%M:%S")
    version = f"v{obj['metadata'].get('resourceVersion', '')}"
    return f"{time}  {event['type']:<9} {qualified_name(singular, obj)}  {version}  {summary(obj)}".rstrip()
