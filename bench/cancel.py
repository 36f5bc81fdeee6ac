"""How soon a cancelled handler is dead: `python -m bench.cancel [--rounds N]`.

Method: a whole Aspora as `aspora up` starts it. A durable skill tells its process id by a log event and then computes
without end. Measured is the time from the request to cancel it until no process of that id is there any more.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Final

from bench.__main__ import Installation
from bench.machine import print_machine
from bench.recovery import Api, deploy
from bench.report import because, percentile, show

ROUNDS: Final = 20
TARGET_SECONDS: Final = 2
PATIENCE_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.002
HANDLER: Final = '''"""Says who it is and never ends."""

import os

from aspora_sdk import SkillContext, SkillResult, skill_handler


@skill_handler
def handler(context: SkillContext) -> SkillResult:
    context.log.info("here", pid=os.getpid())
    while True:
        pass
'''


def _pid(url: str, key: str, name: str) -> int:
    """The handler's process id, as soon as it has told it."""
    request = urllib.request.Request(f"{url}/api/v1/executions/{name}/events?follow=true")
    request.add_header("Authorization", f"Bearer {key}")
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as lines:
        for line in lines:
            event = json.loads(line)
            if event["type"] == "Log":
                return int(event["data"]["fields"]["pid"])
    raise RuntimeError(f"the handler of {name} ended without a word")


def _one(api: Api, url: str, key: str) -> float:
    """Seconds from the request to cancel until the handler's process is gone."""
    name = api.run(durable=True)
    pid = _pid(url, key, name)
    proc = Path(f"/proc/{pid}")
    if not proc.exists():
        raise RuntimeError(f"process {pid} of {name} can't be seen from here")
    began = time.monotonic()
    api.call("POST", f"/executions/{name}/cancel")
    while proc.exists():
        if time.monotonic() - began > PATIENCE_SECONDS:
            raise RuntimeError(f"process {pid} of {name} goes on")
        time.sleep(LOOK_SECONDS)
    return time.monotonic() - began


def measure_cancel(*, rounds: int = ROUNDS) -> list[float]:
    """Measure in a throwaway Aspora and print; the seconds."""
    folder = Path(tempfile.mkdtemp(prefix="aspora-cancel-"))
    folder.chmod(0o711)
    aspora = Installation(folder, {k: v for k, v in os.environ.items() if not k.startswith("ASPORA_")})
    try:
        aspora.start()
        deploy(aspora, folder / "skills", HANDLER)
        url, _ = aspora.endpoint
        key = (aspora.data_dir / "admin.key").read_text().strip()
        api = Api(url, key)
        seconds = [_one(api, url, key) for _ in range(rounds)]
    finally:
        aspora.stop()
        shutil.rmtree(folder, ignore_errors=True)
    value = f"p50 {percentile(seconds, 0.5):.3f} s, max {max(seconds):.3f} s"
    method = f"{rounds} handlers that never end, from the request to cancel to no such process"
    show("a cancelled handler's process is dead", value, f"≤ {TARGET_SECONDS} s", method)
    because("the notification to the executor that runs it, and SIGKILL")
    return seconds


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    args = parser.parse_args()
    print_machine(Path(tempfile.gettempdir()))
    measure_cancel(rounds=args.rounds)


if __name__ == "__main__":
    main()
