"""`aspora cost`: what model calls cost, summed up."""

import argparse

from aspora.cli import exit_codes
from aspora.cli.app import Cli
from aspora.cli.printing import print_table
from aspora.cli.rest import TABLE
from aspora.cli.targets import add_domain_option
from aspora.cli.verbs.get import since_time

EXAMPLES = """examples:
  aspora cost                              by domain, the last 7 days
  aspora cost --by skill -d wealth --last 30d
  aspora cost --by day -o json             whole micro-USD, calls in doubt apart
"""

DIMENSIONS = ("domain", "skill", "revision", "model", "provider", "user", "trigger", "cost-center", "day")


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("--by", choices=DIMENSIONS, default="domain", help="what is summed up (default: domain)")
    parser.add_argument("--last", default="7d", help="of the last while, as 24h or 30d, or since a time (default: 7d)")
    parser.add_argument("--limit", type=int, help="at most so many rows; the total is of all (default: 100)")
    add_domain_option(parser)
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="how to print")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Print the sums."""
    query = {
        "by": args.by,
        "since": since_time(args.last, option="--last"),
        "domain": args.domain or cli.settings.domain,
        "limit": args.limit,
    }
    headers = {} if args.output == "json" else {"Accept": TABLE}
    answer = cli.rest().call("GET", "/api/v1/costs", query=query, headers=headers)
    if args.output == "json":
        cli.out.json(answer)
    else:
        print_table(cli.out, answer, wide=False, empty=f"no model calls since {query['since']}")
    return exit_codes.OK
