"""`aspora doctor`: check this installation."""

import argparse
from dataclasses import asdict
from typing import Any

from aspora.cli import exit_codes
from aspora.cli.app import Cli

EXAMPLES = """examples:
  aspora doctor
  aspora doctor -o json        the same for machines

Exit code 0: nothing is broken (warnings may stand). 1: something is, and the line says what would do.
"""

MARKS = {"ok": ("ok", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red")}


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="for people or for machines")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Print each finding with what to do about it; exit 1 when something is broken."""
    findings: list[Any] = []
    for finding in cli.call_platform("doctor", cli.settings):
        findings.append(finding)
        if args.output == "json":
            continue
        mark, style = MARKS[finding.state]
        cli.out.line(f"{cli.out.style(mark.ljust(4), style)}  {finding.subject}: {finding.message}")
        for detail in finding.details:
            cli.out.line(f"        {detail}")
        if finding.remedy:
            cli.out.line(f"      → {finding.remedy}")
    if args.output == "json":
        cli.out.json({"findings": [asdict(f) for f in findings]})
    broken = any(f.state == "fail" for f in findings)
    return exit_codes.FAILED if broken else exit_codes.OK
