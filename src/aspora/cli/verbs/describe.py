"""`aspora describe`: all about objects or records."""

import argparse

from aspora.cli import exit_codes
from aspora.cli.app import Cli
from aspora.cli.choosing import chosen_targets, meant_elsewhere
from aspora.cli.printing import print_description
from aspora.cli.rest import DESCRIPTION
from aspora.cli.targets import add_domain_option
from aspora.client.paths import object_path

EXAMPLES = """examples:
  aspora describe skill wealth/create-goal
  aspora describe execution EXEC-20260218
  aspora describe skills -l team=payments
  aspora describe domain wealth
  aspora describe budget 17
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("kind", help="a kind, or kind/name")
    parser.add_argument("names", nargs="*", default=[], metavar="name", help="names, as name or domain/name")
    add_domain_option(parser)
    parser.add_argument("-l", "--selector", default="", help="instead of names: labels, as key=value")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Print the sections that the server makes."""
    rest = cli.rest()
    for i, target in enumerate(chosen_targets(args, rest, default_domain=cli.settings.domain)):
        if i:
            cli.out.line()
        path = object_path(target.resource["name"], target.name, domain=target.domain)
        with meant_elsewhere(rest, target):
            described = rest.call("GET", path, headers={"Accept": DESCRIPTION})
        print_description(cli.out, described["sections"])
    return exit_codes.OK
