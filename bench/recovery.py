"""How soon the work of a dead executor is taken up again: `python -m bench.recovery`.

Method: a whole Aspora as `aspora up` starts it, with the default lease. A skill whose handler waits is run over HTTP;
the executor that runs it gets `kill -9` at some moment of its lease; the supervisor starts another. Measured is the
time from the kill until the record names the next attempt, for each class apart. The target is two leases.
"""

import argparse
import json
import os
import shutil
import signal
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, Final

from bench.__main__ import Installation
from bench.machine import print_machine
from bench.report import because, percentile, show

LEASE_SECONDS: Final = 10
ROUNDS: Final = 5
PATIENCE_SECONDS: Final = 120.0
LOOK_SECONDS: Final = 0.05
HANDLER: Final = '''"""Waits, so that it can be lost."""

import time

from aspora_sdk import SkillContext, SkillResult, skill_handler


@skill_handler
def handler(context: SkillContext) -> SkillResult:
    time.sleep(20)
    return SkillResult(success=True, message="done")
'''


class Api:
    """The few calls of the HTTP API that are needed here."""

    def __init__(self, url: str, key: str) -> None:
        self._url = f"{url}/api/v1"
        self._key = key

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request; its JSON answer."""
        request = urllib.request.Request(self._url + path, method=method)
        request.add_header("Authorization", f"Bearer {self._key}")
        request.add_header("Content-Type", "application/json")
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(request, data, timeout=PATIENCE_SECONDS) as answer:
            return json.load(answer)

    def run(self, *, durable: bool) -> str:
        """Run the waiting skill; the execution's name."""
        wait = 0 if durable else 1
        body = {"input": {"userMessage": "go", "metadata": {}}}
        answer = self.call("POST", f"/domains/bench/skills/waits/executions?wait={wait}", body)
        return answer["metadata"]["name"]

    def wait_attempt(self, name: str, number: int) -> dict[str, Any]:
        """The execution's status, as soon as that attempt runs."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < give_up_at:
            status = self.call("GET", f"/executions/{name}")["status"]
            if status["attempt"] >= number and status["state"] == "Running":
                return status
            if status["state"] not in {"Pending", "Running"}:
                break
            time.sleep(LOOK_SECONDS)
        raise RuntimeError(f"attempt {number} of {name} did not begin: {json.dumps(status)[:500]}")


def _one(api: Api, *, durable: bool, into_lease_seconds: float) -> float:
    """Seconds from the kill of its executor to the execution's second attempt."""
    name = api.run(durable=durable)
    node = api.wait_attempt(name, 1)["node"]
    pid: int = api.call("GET", f"/nodes/{node}")["spec"]["pid"]
    time.sleep(into_lease_seconds)
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    api.wait_attempt(name, 2)
    taken = time.monotonic() - began
    api.call("POST", f"/executions/{name}/cancel?wait=30")
    return taken


def deploy(aspora: Installation, folder: Path, handler: str) -> None:
    """Apply the skill that waits, with that handler."""
    aspora.call("create", "skill", "bench/waits", "--lang", "python", "--path", str(folder))
    (folder / "bench" / "waits" / "code" / "handler.py").write_text(handler)
    aspora.call("apply", "-f", str(folder))


def measure_recovery(*, rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Measure in a throwaway Aspora and print; the seconds by class."""
    folder = Path(tempfile.mkdtemp(prefix="aspora-recovery-"))
    folder.chmod(0o711)
    environ = {k: v for k, v in os.environ.items() if not k.startswith("ASPORA_")}
    aspora = Installation(folder, {**environ, "ASPORA_NODE_LEASE_SECONDS": str(LEASE_SECONDS)})
    taken: dict[str, list[float]] = {"inline": [], "durable": []}
    try:
        aspora.start()
        deploy(aspora, folder / "skills", HANDLER)
        url, _ = aspora.endpoint
        api = Api(url, (aspora.data_dir / "admin.key").read_text().strip())
        for n in range(rounds):
            for name, seconds in taken.items():
                seconds.append(_one(api, durable=name == "durable", into_lease_seconds=LEASE_SECONDS / 3 * n / rounds))
    finally:
        aspora.stop()
        shutil.rmtree(folder, ignore_errors=True)
    for name, seconds in taken.items():
        value = f"p50 {percentile(seconds, 0.5):.1f} s, max {max(seconds):.1f} s"
        method = f"{rounds} times kill -9 of the executor, to the next attempt; lease {LEASE_SECONDS} s"
        show(f"recovery of a dead node's work begins, {name}", value, f"≤ {2 * LEASE_SECONDS} s", method)
    because("the lease, less the time since its last renewal (a third at most), then up to 3.3 s until the next look")
    return taken


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    args = parser.parse_args()
    print_machine(Path(tempfile.gettempdir()))
    measure_recovery(rounds=args.rounds)


if __name__ == "__main__":
    main()
