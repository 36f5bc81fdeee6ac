"""`aspora upgrade-database`: the embedded database of an older PostgreSQL becomes one of the shipped version."""

import argparse
from pathlib import Path

from aspora.cli.app import Cli

EXAMPLES = """examples:
  aspora upgrade-database
  aspora upgrade-database --programs /usr/lib/postgresql/15/bin

Needs the programs of the older PostgreSQL once more. Executions that wait or run do not go on afterwards: it says how
many there are and stops, unless --force is given. The old data stays beside the new until you remove it. Broken off,
it can be run again.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("--programs", metavar="DIR", type=Path, help="folder with the older version's `postgres`")
    parser.add_argument("--force", action="store_true", help="go on although executions wait; they end as Failed")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Bring it over."""
    code: int = cli.call_platform("upgrade_database", cli.settings, cli.out, programs=args.programs, force=args.force)
    return code
