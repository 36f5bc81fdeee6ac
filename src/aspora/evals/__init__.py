"""Datasets and checks over skill results: golden cases, unit tests, triggers. No server needed.

Knows cases, results and reports; how a skill is run is handed in as a function.
"""

from aspora.evals.golden import RunCase, RunFailed, run_golden
from aspora.evals.report import CaseReport, SuiteReport
from aspora.evals.suites import run_suites

__all__ = ["CaseReport", "RunCase", "RunFailed", "SuiteReport", "run_golden", "run_suites"]
