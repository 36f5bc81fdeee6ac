"""`aspora controllers`: what makes desired state so, as a process of its own."""

import argparse

from aspora.cli.app import Cli
from aspora.cli.ports import port

EXAMPLES = """examples:
  ASPORA_DATABASE_URL=postgresql://… ASPORA_URL=http://gateways:7700 aspora controllers
  aspora controllers --metrics-port 9101     /metrics, /healthz and /readyz on 127.0.0.1:9101

Run two, on two machines: either can be lost. They work through the gateway at ASPORA_URL and nothing else; the database
is where they get their API key.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("--metrics-port", type=port, metavar="PORT", help="instead of ASPORA_METRICS_PORT; 0: none")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Work until a signal."""
    code: int = cli.call_platform("controllers", cli.settings, cli.out, metrics_port=args.metrics_port)
    return code
