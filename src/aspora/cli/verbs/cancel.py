"""`aspora cancel`: end executions that run."""

import argparse
from collections.abc import Mapping
from typing import Any

from aspora.cli import exit_codes
from aspora.cli.app import Cli, report
from aspora.cli.executing import execution_path, has_ended
from aspora.cli.targets import named
from aspora.meta.errors import StatusError

EXAMPLES = """examples:
  aspora cancel EXEC-20260218120000-7f3a09c1
  aspora cancel EXEC-202602181200              a unique prefix is enough
"""

WAIT_SECONDS = 10


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("names", nargs="+", metavar="EXECUTION", help="an execution's id or a unique prefix of it")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Ask for the end of each; one that can't be cancelled does not stop the others."""
    names, rest, code = named(args.names), cli.rest(), exit_codes.OK
    for name in names:
        try:
            path = f"{execution_path(name)}/cancel"
            found: Mapping[str, Any] = rest.call("POST", path, query={"wait": WAIT_SECONDS})
        except StatusError as e:
            code = report(e, cli.out)
            continue
        state = found["status"]["state"]
        cli.out.line(f"{found['metadata']['name']} {state if has_ended(found) else 'is being cancelled'}")
    return code
