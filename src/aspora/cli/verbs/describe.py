"""`aspora describe`: all about one object or record."""

import argparse

from aspora.cli import exit_codes
from aspora.cli.app import Cli
from aspora.cli.printing import print_description
from aspora.cli.rest import DESCRIPTION
from aspora.cli.targets import add_domain_option, parse_target
from aspora.client.paths import object_path

EXAMPLES = """examples:
  aspora describe skill wealth/create-goal
  aspora describe execution EXEC-20260218
  aspora describe domain wealth
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("kind", help="a kind, or kind/name")
    parser.add_argument("name", nargs="?", default="", help="name or domain/name")
    add_domain_option(parser)


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Print the sections that the server makes."""
    word, slash, rest_of_name = args.kind.partition("/")
    name = args.name or rest_of_name
    if not name or (slash and args.name and rest_of_name):
        raise ValueError("name one object: aspora describe skill wealth/create-goal")
    rest = cli.rest()
    target = parse_target(rest.resource(word), name, domain=args.domain, default_domain=cli.settings.domain)
    path = object_path(target.resource["name"], target.name, domain=target.domain)
    print_description(cli.out, rest.call("GET", path, headers={"Accept": DESCRIPTION})["sections"])
    return exit_codes.OK
