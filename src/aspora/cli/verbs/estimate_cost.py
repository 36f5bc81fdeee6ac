"""`aspora estimate-cost`: what skills will cost a month. Needs no server; with one it goes by their history."""

import argparse
from datetime import UTC, datetime
from typing import Any

from aspora.cli import exit_codes
from aspora.cli.app import Cli
from aspora.cli.targets import add_domain_option, named
from aspora.cli.verbs.list_skills import default_path
from aspora.meta.errors import NotFound, StatusError, Unauthorized, Unavailable
from aspora.meta.quantities import format_usd, parse_usd

EXAMPLES = """examples:
  aspora estimate-cost                       skills/ here, or the current folder
  aspora estimate-cost skills/support --calls-per-month 20000
  aspora estimate-cost --changed-skills --fail-on-exceed     for CI: what this branch changes

A skill that is expected to cost more than the threshold needs a recorded approval: a line in its DECISIONS.md,
  cost-approval: $800 a month, by whom and when
With --fail-on-exceed the exit code is 1 when one has none that is high enough.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("paths", nargs="*", metavar="PATH", help="skills, domains or trees of them")
    add_domain_option(parser)
    parser.add_argument(
        "--changed-skills",
        nargs="?",
        const="",
        metavar="BRANCH",
        help="only those that differ from where this branch left BRANCH (default: the main branch)",
    )
    parser.add_argument("--calls-per-month", type=int, help="executions a month (default: as lately, or 1000)")
    parser.add_argument("--threshold", default="500", help="USD a month that need no approval (default: 500)")
    parser.add_argument("--fail-on-exceed", action="store_true", help="exit with 1 when an approval is missing")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="how to print")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Print one estimate a skill; what needs an approval is told on standard error."""
    threshold = parse_usd(args.threshold)
    if args.calls_per_month is not None and args.calls_per_month < 0:
        raise ValueError(f"--calls-per-month {args.calls_per_month} is below 0; write how many executions a month")
    load, history = cli.load("aspora.skills:load_skill"), _History(cli)
    rows: list[dict[str, Any]] = []
    for folder in _folders(args, cli):
        skill = load(folder, domain=args.domain or None)
        rows.append(_row(cli, skill, history.of(skill), args.calls_per_month, threshold))
    if args.output == "json":
        cli.out.json(rows)
    else:
        _print(cli, rows)
    missing = [row for row in rows if row["needsApproval"]]
    for row in missing:
        cli.out.warn(
            f"{row['skill']} is expected to cost {format_usd(row['expectedMicroUsd'])} a month, above"
            f" {format_usd(max(threshold, row['approvedMicroUsd']))}; have it approved and write into its DECISIONS.md"
            " 'cost-approval: $800 a month, by whom and when'"
        )
    return exit_codes.FAILED if missing and args.fail_on_exceed else exit_codes.OK


class _History:
    """Asks the server as long as one answers; without one there is none."""

    def __init__(self, cli: Cli) -> None:
        self._ask = cli.load("aspora.cli.estimating:history_of")
        self._out = cli.out
        try:
            self._rest: Any = cli.rest()
        except (Unavailable, Unauthorized):
            self._rest = None

    def of(self, skill: Any) -> Any:
        """What the skill's executions did cost; None when nobody knows."""
        if self._rest is None:
            return None
        try:
            return self._ask(self._rest, skill, now=datetime.now(UTC))
        except NotFound:
            return None
        except StatusError as error:
            self._out.warn(f"history is left out: {error.message}")
            self._rest = None
            return None


def _folders(args: argparse.Namespace, cli: Cli) -> list[Any]:
    find, path_of = cli.load("aspora.skills:find_skills"), cli.load("pathlib:Path")
    paths = named(args.paths) or [default_path(cli.settings.skills_root)]
    folders = [place.folder for path in paths for place in find(path_of(path)).skills]
    if args.changed_skills is None:
        return folders
    return cli.load("aspora.cli.estimating:changed_since")(args.changed_skills, folders)


def _row(cli: Cli, skill: Any, history: Any, asked: int | None, threshold: int) -> dict[str, Any]:
    estimate = cli.load("aspora.cli.estimating:estimate")(skill, history)
    usual = history.executions_per_month if history else 0
    executions = asked if asked is not None else usual or cli.load("aspora.cli.estimating:DEFAULT_EXECUTIONS")
    low, expected, high = estimate.times(executions)
    approved = cli.load("aspora.cli.estimating:approved_micro_usd")(skill.folder)
    return {
        "skill": skill.id,
        "executionsPerMonth": executions,
        "lowMicroUsd": low,
        "expectedMicroUsd": expected,
        "highMicroUsd": high,
        "method": estimate.method,
        "approvedMicroUsd": approved,
        "needsApproval": expected > max(threshold, approved),
    }


def _print(cli: Cli, rows: list[dict[str, Any]]) -> None:
    if not rows:
        cli.out.note("no skills to estimate")
        return
    cells = [
        (
            row["skill"],
            str(row["executionsPerMonth"]),
            format_usd(row["expectedMicroUsd"]),
            f"{format_usd(row['lowMicroUsd'])} to {format_usd(row['highMicroUsd'])}",
            format_usd(row["approvedMicroUsd"]) if row["approvedMicroUsd"] else "",
        )
        for row in rows
    ]
    cli.out.table(("SKILL", "EXECUTIONS/MONTH", "EXPECTED", "INTERVAL", "APPROVED"), cells)
    for method in dict.fromkeys(row["method"] for row in rows):
        skills = ", ".join(row["skill"] for row in rows if row["method"] == method)
        cli.out.line(f"{skills}: {method}")
