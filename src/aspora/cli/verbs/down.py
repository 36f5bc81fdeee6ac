"""`aspora down`: stop the Aspora of this data directory."""

import argparse

from aspora.cli.app import Cli

EXAMPLES = """examples:
  aspora down
  aspora down --data-dir ./aspora-data
"""


def configure(_parser: argparse.ArgumentParser) -> None:
    """No words of its own."""


def run(_args: argparse.Namespace, cli: Cli) -> int:
    """Ask it to stop and wait until it has."""
    code: int = cli.call_platform("down", cli.settings, cli.out)
    return code
