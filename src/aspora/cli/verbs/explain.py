"""`aspora explain`: the fields of a kind, from the server's own models."""

import argparse
import textwrap
from collections.abc import Mapping
from typing import Any

from aspora.cli import exit_codes
from aspora.cli.app import Cli
from aspora.client.paths import api_path

EXAMPLES = """examples:
  aspora explain skill
  aspora explain skill.spec
  aspora explain skill.spec.model.costBudget
  aspora explain skill.spec --recursive
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("path", help="a kind, or kind.spec.field")
    parser.add_argument("-r", "--recursive", action="store_true", help="fields of fields too")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Print what the server says of the path."""
    rest = cli.rest()
    word, _, path = args.path.partition(".")
    resource = rest.resource(word)
    found = rest.call("GET", api_path("explain", resource["name"]), query={"path": path})
    title = f"{resource['kind']}{'.' + path if path else ''}"
    cli.out.line(cli.out.style(title, "bold"))
    _wrapped(cli, found["description"], indent=2)
    for field in found["fields"]:
        cli.out.line()
        _print_field(cli, field, indent=2)
        if args.recursive and field["hasFields"]:
            _descend(cli, resource, field["path"], indent=6)
    first, *more = [f["path"] for f in found["fields"] if f["hasFields"]] or [""]
    if first and not args.recursive:
        also = f", also {', '.join('.' + path.rpartition('.')[2] for path in more)}" if more else ""
        cli.out.line()
        _wrapped(cli, f"Deeper: aspora explain {resource['singularName']}.{first}{also}; all: --recursive", indent=0)
    return exit_codes.OK


def _descend(cli: Cli, resource: Mapping[str, Any], path: str, *, indent: int) -> None:
    found = cli.rest().call("GET", api_path("explain", resource["name"]), query={"path": path})
    for field in found["fields"]:
        _print_field(cli, field, indent=indent)
        if field["hasFields"]:
            _descend(cli, resource, field["path"], indent=indent + 4)


def _print_field(cli: Cli, field: Mapping[str, Any], *, indent: int) -> None:
    facts = [f"<{field['type']}>"]
    if field["required"]:
        facts.append("required")
    if "default" in field:
        facts.append(f"default {field['default']}")
    facts += field["limits"]
    name = cli.out.style(field["name"], "cyan")
    cli.out.line(f"{' ' * indent}{name}  {', '.join(str(f) for f in facts)}")
    _wrapped(cli, field["description"], indent=indent + 4)
    if field.get("inactive"):
        _wrapped(cli, f"Inactive: {field['inactive']}", indent=indent + 4)


def _wrapped(cli: Cli, text: str, *, indent: int) -> None:
    for line in textwrap.wrap(text, width=max(40, cli.out.width - indent)):
        cli.out.line(" " * indent + line)
