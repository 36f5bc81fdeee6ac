"""`aspora api-resources`: the kinds that the server knows."""

import argparse

from aspora.cli import exit_codes
from aspora.cli.app import Cli

EXAMPLES = """examples:
  aspora api-resources
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("-o", "--output", choices=("table", "json", "name"), default="table", help="how to print")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Print the server's discovery document."""
    resources = cli.rest().resources()
    if args.output == "json":
        cli.out.json(resources)
    elif args.output == "name":
        for resource in resources:
            cli.out.line(resource["name"])
    else:
        rows = [(r["name"], ",".join(r["shortNames"]), r["kind"], r["scope"], ",".join(r["verbs"])) for r in resources]
        cli.out.table(("NAME", "SHORT", "KIND", "SCOPE", "VERBS"), rows)
    return exit_codes.OK
