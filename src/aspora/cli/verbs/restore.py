"""`aspora restore`: a backup becomes an installation again."""

import argparse
from pathlib import Path

from aspora.cli.app import Cli

EXAMPLES = """examples:
  aspora restore aspora-2026-11-28.tar --data-dir /var/lib/aspora-new
  ASPORA_DATABASE_URL=postgresql://… aspora restore all.tar
  aspora restore all.tar --force                 replaces what the installation holds

Aspora must not run meanwhile. The database is replaced in one transaction: broken off, it is as it was before.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("file", metavar="FILE", type=Path, help="the backup")
    parser.add_argument("--force", action="store_true", help="replace what an installation holds that is not empty")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Check it, then restore."""
    path: Path = args.file.expanduser().absolute()
    code: int = cli.call_platform("restore", cli.settings, cli.out, path=path, replaces=args.force)
    return code
