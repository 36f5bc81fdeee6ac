"""The dead man's switch ends processes that can do nothing themselves."""

import signal
import subprocess
import sys

import pytest

ARM = "from aspora.executor.dead_man import KernelTimer; switch = KernelTimer(); switch.arm({seconds})\n"
CASES = {
    "busy": "while True: pass",
    "asleep in C with the interpreter locked": "import re; re.match('(a+)+$', 'a' * 60 + 'b')",
    "stopped": "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)",
    "deaf to signals": (
        "import signal\nfor n in set(signal.Signals) - {9, 19}: signal.signal(n, signal.SIG_IGN)\nwhile True: pass"
    ),
}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="POSIX timers that send SIGKILL are Linux's")


@pytest.mark.parametrize("body", CASES.values(), ids=CASES)
def test_it_ends_what_is(body: str) -> None:
    ended = subprocess.run([sys.executable, "-c", ARM.format(seconds=0.3) + body], timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL


def test_moved_on_or_taken_back_it_ends_nothing() -> None:
    body = (
        "import time; switch.arm(30); time.sleep(0.5); switch.arm(0.3); switch.disarm(); time.sleep(0.5); print('on')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", ARM.format(seconds=5) + body], timeout=60, check=False, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stdout.split()) == (0, ["on"])


def test_a_death_that_is_overdue_comes_at_once() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ARM.format(seconds=-1) + "import time; time.sleep(60)"], timeout=30, check=False
    )
    assert ended.returncode == -signal.SIGKILL
