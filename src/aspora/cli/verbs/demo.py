"""`aspora demo`: the whole of Aspora in a minute."""

import argparse

from aspora.cli.app import Cli

EXAMPLES = """examples:
  aspora demo
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("--keep", action="store_true", help="keep the demo's data directory for a look around")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Start, apply, run, show, stop."""
    code: int = cli.call_platform("demo", cli.settings, cli.out, keep=args.keep)
    return code
