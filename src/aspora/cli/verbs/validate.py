"""`aspora validate`: check folders and manifests, all problems at once. Needs no server."""

import argparse
from typing import Any

from aspora.cli import exit_codes
from aspora.cli.app import Cli
from aspora.cli.output import Progress
from aspora.cli.targets import add_domain_option, named
from aspora.cli.verbs.list_skills import default_path
from aspora.meta.errors import StatusError

EXAMPLES = """examples:
  aspora validate                          skills/ here, or the current folder
  aspora validate skills/hr/resume-screen
  aspora validate imported/ --lenient      as other tools would read it; what differs is a warning
  aspora validate models.yaml              manifests too
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("paths", nargs="*", metavar="PATH", help="skills, domains, trees of them, or manifests")
    add_domain_option(parser)
    parser.add_argument("--lenient", action="store_true", help="accept skills written for other tools")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="how to print")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Check everything; print every problem as file:line, and a last line with the count."""
    paths = named(args.paths) or [default_path(cli.settings.skills_root)]
    check = cli.load("aspora.cli.checking:check_path")
    results: list[Any] = []
    with Progress(cli.out, total=len(paths) if len(paths) > 1 else 0, title="checking") as progress:
        for path in paths:
            try:
                results += check(path, domain=args.domain, lenient=args.lenient)
            except StatusError as e:
                results.append(cli.load("aspora.cli.checking:refused")(path, e))
            progress.step(path)
    failed = sum(not r.valid for r in results)
    if args.output == "json":
        cli.out.json([r.to_json() for r in results])
        return exit_codes.FAILED if failed else exit_codes.OK
    for result in results:
        _print(cli, result)
    warned = sum(len(r.warnings) for r in results)
    counts = [f"{len(results) - failed} valid", f"{failed} not valid" if failed else "", _count(warned, "warning")]
    cli.out.line(", ".join(c for c in counts if c))
    return exit_codes.FAILED if failed else exit_codes.OK


def _print(cli: Cli, result: Any) -> None:
    mark = cli.out.style("ok  ", "green") if result.valid else cli.out.style("FAIL", "red")
    cli.out.line(f"{mark}  {result.name}")
    for problem in result.problems:
        cli.out.line(f"      {problem}")
    for warning in result.warnings:
        cli.out.line(f"      {cli.out.style('warning', 'yellow')} {warning}")


def _count(number: int, word: str) -> str:
    return "" if not number else f"1 {word}" if number == 1 else f"{number} {word}s"
