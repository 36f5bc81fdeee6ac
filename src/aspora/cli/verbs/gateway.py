"""`aspora gateway`: the HTTP door as a process of its own."""

import argparse

from aspora.cli.app import Cli
from aspora.cli.ports import port

EXAMPLES = """examples:
  ASPORA_DATABASE_URL=postgresql://… aspora gateway          one of several; put a load balancer before them
  aspora gateway --port 7701                                 on another port
  ASPORA_ARTIFACTS_URL=s3://bucket/aspora aspora gateway     artifacts where every machine finds them

Without ASPORA_DATABASE_URL it uses the database that `aspora database` (or `aspora up`) keeps over the data folder.
Gateways and executors must see the same artifacts: one machine, a shared folder, or a bucket.
SIGTERM: /readyz fails for ASPORA_DRAIN_SECONDS, then no new connection is taken, and what came is answered.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument(
        "--port", type=port, metavar="PORT", help="listen there instead of ASPORA_PORT; 0: any free one"
    )


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Serve until a signal."""
    code: int = cli.call_platform("gateway", cli.settings, cli.out, port=args.port)
    return code
