"""`aspora watch`: changes of one kind as they happen."""

import argparse
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aspora.cli import exit_codes
from aspora.cli.app import Cli
from aspora.cli.printing import qualified_name
from aspora.cli.targets import add_domain_choice, parse_target
from aspora.client.paths import object_path
from aspora.meta.errors import MethodNotAllowed

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
    """What an object's summary condition says."""
    for condition in (obj.get("status") or {}).get("conditions", []):
        if condition["type"] == "Ready":
            return f"Ready={condition['status']} {condition['reason']}"
    return ""


def _instead(plural: str) -> str:
    """Why a kind without the verb can't be watched, and what would do."""
    if plural == "executions":
        return (
            "executions are records, which can't be watched; a skill's are followed with 'aspora logs DOMAIN/SKILL', "
            "one with 'aspora logs EXEC-… --follow'"
        )
    return f"{plural} are records, which can't be watched; look again with 'aspora get {plural}'"


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Print what is there, then every change, until the stream ends or Ctrl-C."""
    rest = cli.rest()
    resource = rest.resource(args.kind)
    if "watch" not in resource["verbs"]:
        raise MethodNotAllowed(_instead(resource["name"]))
    domain = "" if args.all_domains else args.domain
    target = parse_target(resource, args.name, domain=domain, default_domain=cli.settings.domain)
    query = {"watch": "true", "labelSelector": args.selector}
    if target.name:
        query["fieldSelector"] = f"metadata.name={target.name}"
    for event in rest.stream(object_path(resource["name"], domain=target.domain), query=query):
        if args.output == "json":
            cli.out.line(json.dumps(event, ensure_ascii=False))
        elif event["type"] != "BOOKMARK":
            obj = event["object"]
            name = qualified_name(resource["singularName"], obj)
            time = datetime.now().astimezone().strftime("%H:%M:%S")
            version = f"v{obj['metadata'].get('resourceVersion', '')}"
            cli.out.line(f"{time}  {event['type']:<9} {name}  {version}  {summary(obj)}".rstrip())
        cli.out.stdout.flush()
    return exit_codes.OK
