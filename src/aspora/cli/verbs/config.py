"""`aspora config`: the settings."""

import argparse
import os

from aspora.cli import exit_codes
from aspora.cli.app import Cli

EXAMPLES = """examples:
  aspora config                    each setting, its value and where that comes from
  aspora config explain            what each one does
  aspora config path               the data folder
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("what", nargs="?", choices=("view", "explain", "path"), default="view", help="default: view")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="how to print")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Print the settings; secrets show only that they are set."""
    if args.what == "path":
        cli.out.line(str(cli.settings.data_dir))
        return exit_codes.OK
    rows = cli.call_platform("explain_settings", cli.settings, os.environ, cli.overrides)
    if args.output == "json":
        cli.out.json({r.env: {"value": r.value, "source": r.source, "default": r.default, "doc": r.doc} for r in rows})
    elif args.what == "explain":
        cli.out.table(("VARIABLE", "DEFAULT", "MEANING"), [(r.env, r.default, r.doc) for r in rows])
    else:
        cli.out.table(("VARIABLE", "VALUE", "SOURCE"), [(r.env, r.value, r.source) for r in rows])
    return exit_codes.OK
