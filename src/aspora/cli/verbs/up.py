"""`aspora up`: all of Aspora on this machine."""

import argparse

from aspora.cli.app import Cli

EXAMPLES = """examples:
  aspora up                       in the foreground, Ctrl-C stops it
  aspora up --detach              in the background; `aspora down` stops it
  ASPORA_PORT=0 aspora up         on any free port
  ASPORA_DATABASE_URL=postgresql://… aspora up
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("--detach", action="store_true", help="return when it is ready and leave it running")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Start it; in the foreground stay until it stops."""
    code: int = cli.call_platform("detach" if args.detach else "up", cli.settings, cli.out, overrides=cli.overrides)
    return code
