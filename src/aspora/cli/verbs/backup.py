"""`aspora backup`: all of an installation in one file."""

import argparse
from pathlib import Path

from aspora.cli.app import Cli

EXAMPLES = """examples:
  aspora backup aspora-2026-11-28.tar            while Aspora runs, or while it rests
  aspora backup --verify aspora-2026-11-28.tar   read it to its end and compare every digest
  ASPORA_DATABASE_URL=postgresql://… aspora backup all.tar

The file holds objects, records and artifacts as of one instant. Secrets in it stay encrypted, and the key they are
encrypted with is NOT in it unless you ask for it: keep a copy of secret.key elsewhere.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("file", metavar="FILE", type=Path, help="where to write it (mode 0600)")
    parser.add_argument("--verify", action="store_true", help="check an existing file instead; needs no Aspora")
    parser.add_argument("--include-secret-key", action="store_true", help="put the secret key into the file as well")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Write, or check."""
    path: Path = args.file.expanduser().absolute()
    if args.verify:
        code: int = cli.call_platform("verify_backup", cli.out, path=path)
        return code
    code = cli.call_platform(
        "backup", cli.settings, cli.out, path=path, with_key=args.include_secret_key, replace=args.force
    )
    return code
