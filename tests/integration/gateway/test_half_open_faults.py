"""A network that drops everything without a word, between a gateway and those who use it.

To a watcher or an executor a proxy falls silent; to the gateway a whole network namespace does, made for the test.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.servers import Proxy, proxy_to

from aspora.client.api_client import ApiClient
from aspora.client.http_transport import SILENCE_TIMEOUT_SECONDS, HttpTransport
from aspora.executor.plan import ClientRevisions, Plans
from aspora.reconcile.informer import Informer
from aspora.store.interface import Key, Write
from aspora.store.postgres import BOOKMARK_SECONDS

from .conftest import Door

IS_FULL = os.environ.get("ASPORA_TEST_FAULTS") == "full"
SILENCE_SECONDS = SILENCE_TIMEOUT_SECONDS if IS_FULL else 1.0
LOST_SECONDS = 30 if IS_FULL else 2
NOTICED_SECONDS = 15.0
"""What a busy machine may need over and above what is promised."""

PATIENCE_SECONDS = 60.0
WHOLE_SKILL = {
    "skillMd": {"name": "echo", "description": "d"},
    "artifact": {"digest": "sha256:" + "0" * 64, "sizeBytes": 1, "fileCount": 1},
    "runtime": {"language": "python", "entryPoint": "code/handler.py"},
}
pytestmark = pytest.mark.timeout(400)


@asynccontextmanager
async def far_client(door: Door, *, silence_seconds: float) -> AsyncGenerator[tuple[Proxy, ApiClient]]:
    """A client of the door, and the network between."""
    port = int(door.api.base.rpartition(":")[2])
    async with proxy_to(port) as proxy:
        client = ApiClient(
            HttpTransport(
                f"http://127.0.0.1:{proxy.port}", api_key=door.admin_key, silence_timeout_seconds=silence_seconds
            ),
            deadline_seconds=2,
        )
        try:
            yield proxy, client
        finally:
            await client.close()


async def add_model(door: Door, name: str) -> None:
    [result] = await door.store.write([Write("create", Key("Model", "", name), {"kind": "Model", "spec": {}})])
    assert result.error is None


def test_a_silent_stream_is_dead_only_after_two_bookmarks_are_missing() -> None:
    assert 2 * BOOKMARK_SECONDS < SILENCE_TIMEOUT_SECONDS <= 3 * BOOKMARK_SECONDS


async def test_faults_an_informer_on_a_half_open_connection_notices_and_goes_on(door: Door) -> None:
    async with far_client(door, silence_seconds=SILENCE_SECONDS) as (proxy, client):
        informer, stop = Informer(client, "Model"), asyncio.Event()
        running = asyncio.create_task(informer.run(stop))
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await informer.synced.wait()
                await add_model(door, "before")
                while informer.get("before") is None:
                    await asyncio.sleep(0.01)
            asked = proxy.accepted
            proxy.fall_silent()
            began = time.monotonic()
            await add_model(door, "during")
            async with asyncio.timeout(SILENCE_SECONDS + NOTICED_SECONDS):
                while proxy.accepted == asked:  # It gives the dead stream up, and asks anew.
                    await asyncio.sleep(0.01)
            assert time.monotonic() - began >= SILENCE_SECONDS - 0.5, "given up before the silence was long enough"
            assert informer.get("during") is None
            proxy.speak()
            async with asyncio.timeout(PATIENCE_SECONDS):
                while informer.get("during") is None:
                    await asyncio.sleep(0.01)
                await add_model(door, "after")
                while informer.get("after") is None:
                    await asyncio.sleep(0.01)
        finally:
            stop.set()
            await running


async def test_faults_a_revision_is_asked_for_again_when_the_network_swallows_the_answer(door: Door) -> None:
    obj = {"kind": "Revision", "spec": {"skill": "echo", "version": "1.0.0", "skillSpec": WHOLE_SKILL}}
    writes = [Write("create", Key("Revision", "default", f"echo-{n}"), obj) for n in (1, 2)]
    assert all(result.error is None for result in await door.store.write(writes))
    async with far_client(door, silence_seconds=SILENCE_TIMEOUT_SECONDS) as (proxy, client):
        plans = Plans(ClientRevisions(client), ask_seconds=0.5)
        await plans.load("default", "echo-1", within_seconds=PATIENCE_SECONDS)
        asked = proxy.accepted
        proxy.fall_silent()
        loading = asyncio.create_task(plans.load("default", "echo-2", within_seconds=PATIENCE_SECONDS))
        async with asyncio.timeout(NOTICED_SECONDS):
            while proxy.accepted < asked + 2:
                await asyncio.sleep(0.01)
        assert not loading.done()
        proxy.speak()
        async with asyncio.timeout(NOTICED_SECONDS):
            assert (await loading).skill == "echo"


def test_faults_a_watcher_whose_network_swallows_everything_is_freed() -> None:
    """Nobody hangs up and nobody answers: only the kernel's own questions can tell."""
    command = ["unshare", "--net", sys.executable, str(Path(__file__).parent / "lost_watchers.py")]
    if os.geteuid() != 0 or subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no network namespace can be made here; it needs root, or user namespaces, and unshare")
    done = subprocess.run(
        [*command, str(LOST_SECONDS)], check=False, capture_output=True, text=True, timeout=LOST_SECONDS + 120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "idle freed, busy freed" in done.stdout
