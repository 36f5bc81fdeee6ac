"""`aspora test`: a skill's own suites. Needs no server."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aspora.cli import exit_codes
from aspora.cli.app import Cli
from aspora.cli.output import Progress, clean
from aspora.cli.result import duration_text
from aspora.cli.targets import add_domain_option, named
from aspora.cli.verbs.list_skills import default_path
from aspora.cli.verbs.run import folder_of
from aspora.meta.errors import StatusError

EXAMPLES = """examples:
  aspora test                            every skill in skills/
  aspora test fraud/detect-velocity      one skill by name
  aspora test ./skills/hr/resume-screen -v

A skill's suites are tests/unit (pytest) and tests/golden.jsonl (cases, each run in the sandbox);
tests/triggers.json and evals/evals.json are checked for their form.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("skills", nargs="*", metavar="SKILL", help="domain/name, a skill's, domain's or tree's folder")
    add_domain_option(parser)
    parser.add_argument("--lenient", action="store_true", help="accept skills written for other tools")
    parser.add_argument("-v", "--verbose", action="store_true", help="name every case, not only what failed")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="how to print")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Run all suites of all skills; exit 1 when anything failed."""
    folders = _folders(args, cli)
    rows: list[dict[str, Any]] = []
    with Progress(cli.out, total=len(folders), title="testing") as progress:
        for folder in folders:
            rows += _test(args, cli, folder)
            progress.step(folder.name)
    failed = [row for row in rows if not row["ok"]]
    if args.output == "json":
        cli.out.json(rows)
        return exit_codes.FAILED if failed else exit_codes.OK
    for row in rows:
        _print_details(args, cli, row)
    headings = ("SKILL", "SUITE", "RESULT", "PASSED", "FAILED", "SKIPPED", "TIME")
    cli.out.table(headings, [_cells(row) for row in rows])
    skipped = {row["skipped"] for row in rows if row["skipped"] and row["suite"] == "golden"}
    for why in sorted(skipped):
        cli.out.note(f"golden cases were not run: {why}")
    if not rows:
        cli.out.note("no suite was found; a skill's tests lie in tests/unit and tests/golden.jsonl")
    return exit_codes.FAILED if failed else exit_codes.OK


def _folders(args: argparse.Namespace, cli: Cli) -> list[Path]:
    find = cli.load("aspora.skills:find_skills")
    words = named(args.skills) or [default_path(cli.settings.skills_root)]
    folders: list[Path] = []
    for word in words:
        by_name = None if os.path.isdir(word) else folder_of(word, skills_root=cli.settings.skills_root)
        folders += [place.folder for place in find(by_name or Path(word), lenient=args.lenient).skills]
    return folders


def _test(args: argparse.Namespace, cli: Cli, folder: Path) -> list[dict[str, Any]]:
    """One row a suite; a folder that can't be tested has one failed row."""
    shown = os.path.relpath(folder)
    try:
        skill, reports = cli.call_platform(
            "local_test", cli.settings, folder, environ=os.environ, domain=args.domain, lenient=args.lenient
        )
    except StatusError as e:
        return [_row(shown, suite="", error=e.message, cases=(), skipped="")]
    return [_row(skill.id, suite=r.suite, error=r.error, cases=r.cases, skipped=r.skipped) for r in reports]


def _row(skill: str, *, suite: str, error: str, cases: Sequence[Any], skipped: str) -> dict[str, Any]:
    return {
        "skill": skill,
        "suite": suite,
        "ok": not error and all(case.ok for case in cases),
        "error": error,
        "skipped": skipped,
        "cases": [
            {
                "id": case.id,
                "description": case.description,
                "ok": case.ok,
                "failures": list(case.failures),
                "skipped": case.skipped,
                "durationMs": round(case.duration_ms, 1),
            }
            for case in cases
        ],
    }


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    cases = row["cases"]
    passed = sum(case["ok"] and not case["skipped"] for case in cases)
    result = "ok" if row["ok"] and passed else "not run" if row["ok"] else "FAILED"
    failed, skipped = sum(not case["ok"] for case in cases), sum(bool(case["skipped"]) for case in cases)
    time = duration_text(sum(case["durationMs"] for case in cases)) if passed or failed else ""
    return row["skill"], row["suite"], result, str(passed), str(failed), str(skipped), time


def _print_details(args: argparse.Namespace, cli: Cli, row: dict[str, Any]) -> None:
    """What went wrong; with -v every case."""
    where = clean(f"{row['skill']} {row['suite']}".strip())
    if row["error"]:
        cli.out.line(f"{cli.out.style('FAIL', 'red')}  {where}: {clean(row['error'])}")
    for case in row["cases"]:
        name = clean(case["id"])
        if not case["ok"]:
            cli.out.line(f"{cli.out.style('FAIL', 'red')}  {where}: {name}")
            for failure in case["failures"]:
                for line in clean(failure).split("\n"):
                    cli.out.line(f"      {line}")
        elif args.verbose:
            mark = "skip" if case["skipped"] else cli.out.style("ok  ", "green")
            cli.out.line(f"{mark}  {where}: {name}  {duration_text(case['durationMs'])}")
