"""`aspora uninstall`: remove what Aspora keeps on this machine."""

import argparse

from aspora.cli.app import Cli

EXAMPLES = """examples:
  aspora uninstall                 says what would be removed
  aspora uninstall --yes           removes it
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("--yes", action="store_true", help="really remove; without it nothing is touched")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """List, and with `--yes` remove."""
    code: int = cli.call_platform("uninstall", cli.settings, cli.out, confirmed=args.yes)
    return code
