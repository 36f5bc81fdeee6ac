"""`aspora version`."""

import argparse
import contextlib
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from aspora.cli import exit_codes
from aspora.cli.app import Cli
from aspora.meta.errors import StatusError

EXAMPLES = """examples:
  aspora version
  aspora version -o json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="how to print")


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Print this command's version and, when one answers, the server's."""
    found: dict[str, Any] = {
        "aspora": _installed("aspora"),
        "sdk": _installed("aspora-sdk"),
        "python": platform.python_version(),
    }
    with contextlib.suppress(StatusError):
        found["server"] = cli.rest().call("GET", "/version")["version"]
    if args.output == "json":
        cli.out.json(found)
    else:
        for name, text in found.items():
            cli.out.line(f"{name:<8} {text}")
    return exit_codes.OK
