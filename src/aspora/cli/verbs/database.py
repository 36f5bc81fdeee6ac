"""`aspora database`: the embedded database alone."""

import argparse

from aspora.cli.app import Cli

EXAMPLES = """examples:
  aspora database                             keep the database of the data folder until Ctrl-C
  aspora --data-dir /srv/aspora database      of another one

Gateways, executors and controllers of the same user and machine find it through the data folder. For several
machines use a PostgreSQL of your own, by ASPORA_DATABASE_URL.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """It has no options of its own."""


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Keep it until a signal."""
    del args
    code: int = cli.call_platform("database", cli.settings, cli.out)
    return code
