"""A machine that slept: leases ran out meanwhile, and the process must know."""

import subprocess
import sys

import pytest

SECONDS = 86_400
READ = "import time; from aspora.kit.clock import SystemClock; print(SystemClock().monotonic() - time.monotonic())"


def test_the_time_of_a_suspended_machine_counts() -> None:
    """In a time namespace whose machine, so it is told, has slept for a day."""
    asleep = ["unshare", "--map-root-user", "--time", "--boottime", str(SECONDS)]
    if subprocess.run([*asleep, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this kernel gives no time namespaces")
    said = subprocess.run([*asleep, sys.executable, "-c", READ], check=True, capture_output=True, text=True).stdout
    assert float(said) > SECONDS - 60
