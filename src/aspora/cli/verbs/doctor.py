"""`aspora doctor`: check this installation."""

import argparse

from aspora.cli import exit_codes
from aspora.cli.app import Cli

EXAMPLES = """examples:
  aspora doctor
"""

MARKS = {"ok": ("ok", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red")}


def configure(_parser: argparse.ArgumentParser) -> None:
    """No words of its own."""


def run(_args: argparse.Namespace, cli: Cli) -> int:
    """Print each finding with what to do about it; exit 1 when something is broken."""
    findings = cli.call_platform("doctor", cli.settings)
    for finding in findings:
        mark, style = MARKS[finding.state]
        cli.out.line(f"{cli.out.style(mark.ljust(4), style)}  {finding.subject}: {finding.message}")
        for detail in finding.details:
            cli.out.line(f"        {detail}")
        if finding.remedy:
            cli.out.line(f"      → {finding.remedy}")
    broken = any(f.state == "fail" for f in findings)
    return exit_codes.FAILED if broken else exit_codes.OK
