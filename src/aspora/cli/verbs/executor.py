"""`aspora executor`: what runs executions, as a process of its own."""

import argparse

from aspora.cli.app import Cli
from aspora.cli.ports import port

EXAMPLES = """examples:
  ASPORA_DATABASE_URL=postgresql://… ASPORA_URL=http://gateways:7700 aspora executor
  aspora executor --metrics-port 9100        /metrics, /healthz and /readyz on 127.0.0.1:9100
  ASPORA_EXECUTOR_SLOTS=64 aspora executor   more executions at once

Start as many as there is work for; they find it in the database. Each makes an API key of its own there for reading
revisions from the gateway at ASPORA_URL, and takes it back when it stops. SIGTERM: no new work is taken, what runs has
ASPORA_STOP_GRACE_SECONDS to end, and what is left goes back to the queue.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("--metrics-port", type=port, metavar="PORT", help="instead of ASPORA_METRICS_PORT; 0: none")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Work until a signal."""
    code: int = cli.call_platform("executor", cli.settings, cli.out, metrics_port=args.metrics_port)
    return code
