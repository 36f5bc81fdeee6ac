"""`aspora status`: whether Aspora runs here, and how it is."""

import argparse

from aspora.cli.app import Cli

EXAMPLES = """examples:
  aspora status
  aspora status -o json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="how to print")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Print address, readiness, nodes and counts."""
    code: int = cli.call_platform("status", cli.settings, cli.out, connect=cli.rest, as_json=args.output == "json")
    return code
