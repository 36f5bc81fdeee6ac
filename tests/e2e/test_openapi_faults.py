"""What a real Aspora answers is what its published document says, whatever is sent.

Some calls of each operation by default; `ASPORA_TEST_FAULTS=full` (`make test-faults`) tries the edges of every schema
and chains of calls too, and takes an hour.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .server import Aspora, started

IS_FULL = os.environ.get("ASPORA_TEST_FAULTS") == "full"
PATIENCE_SECONDS = 3500 if IS_FULL else 200
HERE = Path(__file__).parent
AMOUNT = (
    ("--phases", "coverage,fuzzing,stateful", "--max-examples", "25", "--workers", "2")
    if IS_FULL
    else ("--phases", "fuzzing", "--max-examples", "2")
)


def schemathesis(aspora: Aspora, report: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml")),
        *("run", f"{aspora.url}/openapi.json", "--header", f"Authorization: Bearer {aspora.key}"),
        *("--request-timeout", "30", "--generation-database", "none", "--no-color", "--no-shrink"),
        *("--generation-codec", "ascii", "--generation-allow-x00", "false", "--continue-on-failure"),
        *("--report", "ndjson", "--report-ndjson-path", str(report), *options),
    ]
    own = {"SCHEMATHESIS_HOOKS": "openapi_hooks", "PYTHONPATH": str(HERE), "NO_PROXY": "127.0.0.1"}
    environ = {**os.environ, **own}
    return subprocess.run(
        command, env=environ, cwd=report.parent, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )


def answered(report: Path) -> list[int]:
    """The HTTP status of every answer in the report."""
    codes: list[int] = []
    for line in report.read_text().splitlines():
        scenario = json.loads(line).get("ScenarioFinished", {})
        for call in scenario.get("recorder", {}).get("interactions", {}).values():
            codes.append((call.get("response") or {}).get("status_code", 0))
    return codes


@pytest.mark.timeout(PATIENCE_SECONDS + 60)
def test_answers_are_as_the_published_document_says(tmp_path: Path) -> None:
    with started() as aspora:
        report = tmp_path / "calls.ndjson"
        seed = "1" if not IS_FULL else str(int.from_bytes(os.urandom(4)))
        done = schemathesis(aspora, report, "--seed", seed, *AMOUNT)
        said = f"{done.stdout[-20_000:]}\n{done.stderr[-2000:]}"
        assert done.returncode == 0, said
        codes = answered(report)
        print(said[-1500:])
        # It went in deep enough to mean something: some were taken, some were refused for what they say.
        assert len(codes) > 300
        assert {200, 201, 400, 404, 422} <= set(codes)
        assert max(codes) < 500
