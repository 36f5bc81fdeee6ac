"""`aspora demo`: the whole of Aspora in a minute."""

import argparse

from aspora.cli.app import Cli

EXAMPLES = """examples:
  aspora demo
"""


def configure(_parser: argparse.ArgumentParser) -> None:
    """No words of its own."""


def run(_args: argparse.Namespace, cli: Cli) -> int:
    """Start, apply, run, show, stop."""
    code: int = cli.call_platform("demo", cli.settings, cli.out)
    return code
