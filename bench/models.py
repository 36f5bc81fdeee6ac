"""What the model gateway adds to a call: `python -m bench.models [--calls-for-memory N]`.

Method: an upstream with one fixed answer, a load generator and the gateway are a process each on this machine. The same
load goes straight to the upstream and through the gateway, by a key with caps on money for a day and a month, in a
domain with a monthly budget, and with limits of requests and tokens a minute: money safety is on. Added is the
difference of the two. Commits are those of the whole PostgreSQL. LiteLLM's proxy and Portkey's gateway take the same
load in the same run when `bench/peers.sh` has installed them; neither keeps a budget durably before a call here.
"""

import argparse
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.__main__ import Installation
from bench.database import transactions
from bench.machine import flush_ms, print_machine
from bench.processor import grown, tree_seconds
from bench.report import because, parts, percentile, show

CLIENTS: Final = (1, 16, 64)
CALLS: Final = {1: 400, 16: 3000, 64: 5000}
PEER_CALLS: Final = {1: 100, 16: 400, 64: 600}
MODEL: Final = "claude-sonnet-4-5"
READY_SECONDS: Final = 120
COUNTERS_SECONDS: Final = 12
"""PostgreSQL's sessions tell what they did up to ten seconds late."""
PEER_SETTLES_SECONDS: Final = 5
PEERS: Final = Path(".bench-peers")
LITELLM_CONFIG: Final = """model_list:
  - model_name: {model}
    litellm_params: {{model: openai/{model}, api_base: "{url}", api_key: none}}
"""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load measured; times in milliseconds."""

    p50: float
    p99: float
    rate: float
    failures: int


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def load(
    url: str, key: str, clients: int, count: int, *, streams: bool = False, headers: Mapping[str, str] | None = None
) -> Loaded:
    """Put a load on something that speaks OpenAI's API."""
    words = [
        sys.executable,
        "-m",
        "bench.model_load",
        url,
        MODEL,
        str(clients),
        str(count),
        "stream" if streams else "-",
    ]
    done = subprocess.run(
        words,
        env={**os.environ, "BENCH_KEY": key, "BENCH_HEADERS": json.dumps(dict(headers or {}))},
        check=True,
        capture_output=True,
        text=True,
    )
    told = json.loads(done.stdout)
    ms = [seconds * 1000 for seconds in told["latencies"]]
    return Loaded(percentile(ms, 0.5), percentile(ms, 0.99), len(ms) / told["seconds"], told["failures"])


@contextmanager
def running(words: list[str], *, port: int, environ: Mapping[str, str] | None = None) -> Generator[None]:
    """A server that answers on a port."""
    process = subprocess.Popen(
        words, env=dict(environ or os.environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        give_up_at = time.monotonic() + READY_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > give_up_at:
                    raise RuntimeError(f"{words[0]} does not answer on port {port}") from None
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


class Gateway:
    """A throwaway Aspora whose models the fixed upstream serves, and a key with every kind of limit."""

    def __init__(self, folder: Path, upstream: str) -> None:
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("ASPORA_", "OPENROUTER_"))}
        self.aspora = Installation(folder, environ | {"ASPORA_MODEL_URL": upstream})
        self.key = ""

    def start(self) -> None:
        """Start it and make the key."""
        self.aspora.start()
        self.url, self.pid = self.aspora.endpoint
        admin = (self.aspora.data_dir / "admin.key").read_text().strip()
        rates = {"modelCallsPerDay": 10**9, "skillModelCallsPerHour": 10**9}
        budgets = [{"window": "day", "capMicroUsd": 10**12}, {"window": "month", "capMicroUsd": 10**12}]
        limits = {"requestsPerMinute": 10**7, "tokensPerMinute": 10**10}
        for path, name, spec in (
            ("domains", "bench", {"monthlyBudgetMicroUsd": 10**13, "rateLimits": rates}),
            ("domains/bench/rolebindings", "b", {"roleRef": {"name": "author"}, "subjects": [{"name": "bench"}]}),
            ("domains/bench/apikeys", "k", {"owner": "bench", "budgets": budgets, **limits}),
        ):
            body = json.dumps({"metadata": {"name": name}, "spec": spec}).encode()
            request = urllib.request.Request(f"{self.url}/api/v1/{path}", data=body, method="POST")
            request.add_header("Authorization", f"Bearer {admin}")
            request.add_header("Content-Type", "application/json")
            with urllib.request.urlopen(request, timeout=30) as answer:
                made: dict[str, Any] = json.load(answer)
        self.key = made["once"]["key"]

    @property
    def v1(self) -> str:
        """Where clients of OpenAI's API look."""
        return f"{self.url}/v1"

    def rss_mib(self) -> float:
        """Resident memory of the gateway process."""
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
                parent = int(Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1])
                pages = int(Path(f"/proc/{name}/statm").read_text().split()[1])
            except (OSError, IndexError, ValueError):
                continue
            if parent == self.pid and b"gateway" in words:
                return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        raise RuntimeError("the gateway process is gone")


def measure_gateway(gateway: Gateway, upstream: str) -> None:
    """The figures of the issue, each beside the disk."""
    targets = {1: "≤ 2 ms + 1 flush", 16: "", 64: "p99 ≤ 60 ms, ≥ 800/s"}
    for clients in CLIENTS:
        straight = load(upstream, "none", clients, CALLS[clients])
        before_cpu, before = tree_seconds(gateway.pid), transactions(gateway.aspora.data_dir)
        through = load(gateway.v1, gateway.key, clients, CALLS[clients])
        time.sleep(COUNTERS_SECONDS)
        commits = (transactions(gateway.aspora.data_dir) - before) / CALLS[clients]
        flush, _ = flush_ms(gateway.aspora.data_dir)
        added = f"p50 +{through.p50 - straight.p50:.2f}, p99 +{through.p99 - straight.p99:.2f} ms"
        method = f"{CALLS[clients]} calls; straight p50 {straight.p50:.2f} ms; fdatasync {flush:.2f} ms"
        show(f"added at {clients} at once", added, targets[clients], method)
        method = f"{through.failures} failures; straight {straight.rate:.0f}/s; {commits:.2f} commits a call"
        show(f"answers at {clients} at once", f"{through.rate:.0f}/s", "", method)
        used = grown(before_cpu, tree_seconds(gateway.pid), per=CALLS[clients])
        because("processor ms a call: " + parts({k: v * 1000 for k, v in used.items()}, digits=2, unit="ms"))
    straight = load(upstream, "none", 1, 400, streams=True)
    through = load(gateway.v1, gateway.key, 1, 400, streams=True)
    show(
        "first streamed token delayed",
        f"p50 {through.p50 - straight.p50:.2f} ms",
        "≤ 3 ms",
        "400 streams, one at a time",
    )


def measure_memory(gateway: Gateway, calls: int) -> None:
    """Whether memory stays flat."""
    told: list[str] = []
    for done in range(0, calls, calls // 10):
        load(gateway.v1, gateway.key, 64, calls // 10)
        told.append(f"{gateway.rss_mib():.0f}")
        print(f"\r{done + calls // 10} of {calls} calls", end="" if sys.stdout.isatty() else "\n", flush=True)
    show("memory of the gateway", " ".join(told) + " MiB", "flat", f"after each tenth of {calls} calls, 64 at once")


def measure_peers(upstream: str, folder: Path) -> None:
    """The same load on the peers that are installed."""
    litellm, portkey = (
        PEERS / "litellm" / "bin" / "litellm",
        PEERS / "portkey" / "node_modules" / "@portkey-ai" / "gateway",
    )
    if litellm.exists():
        config, port, key = folder / "litellm.yaml", free_port(), f"sk-{secrets.token_hex(16)}"
        config.write_text(LITELLM_CONFIG.format(model=MODEL, url=upstream))
        words = [
            str(litellm),
            "--config",
            str(config),
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--num_workers",
            "1",
        ]
        with running(words, port=port, environ={**os.environ, "LITELLM_MASTER_KEY": key}):
            time.sleep(PEER_SETTLES_SECONDS)
            _show_peer("LiteLLM proxy, no budgets", f"http://127.0.0.1:{port}/v1", key, upstream, {})
    else:
        print("LiteLLM's proxy is not installed; bench/peers.sh installs it")
    server = portkey / "build" / "start-server.js"
    if server.exists() and (node := shutil.which("node")):
        port = free_port()
        headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": upstream}
        with running([node, str(server), f"--port={port}", "--headless"], port=port):
            _show_peer("Portkey gateway, no budgets", f"http://127.0.0.1:{port}/v1", "none", upstream, headers)
    else:
        print("Portkey's gateway is not installed; bench/peers.sh installs it")


def _show_peer(name: str, url: str, key: str, upstream: str, headers: Mapping[str, str]) -> None:
    for clients in CLIENTS:
        straight = load(upstream, "none", clients, PEER_CALLS[clients])
        through = load(url, key, clients, PEER_CALLS[clients], headers=headers)
        added = f"p50 +{through.p50 - straight.p50:.2f}, p99 +{through.p99 - straight.p99:.2f} ms"
        show(f"{name}, {clients} at once", added, "", f"{through.rate:.0f}/s; {through.failures} failures")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls-for-memory", type=int, default=10_000)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="aspora-models-"))
    folder.chmod(0o711)
    port = free_port()
    upstream = f"http://127.0.0.1:{port}/v1"
    gateway = Gateway(folder, upstream)
    try:
        print_machine(folder)
        with running([sys.executable, "-m", "bench.model_upstream", str(port)], port=port):
            gateway.start()
            measure_gateway(gateway, upstream)
            measure_memory(gateway, args.calls_for_memory)
            gateway.aspora.stop()
            measure_peers(upstream, folder)
    finally:
        gateway.aspora.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
