"""PostgreSQL is killed, hangs, or has a slow disk under an Aspora that runs, seen by those who use its HTTP API.

Two seconds by default; `ASPORA_TEST_FAULTS=full` (`make test-faults`) makes it ten.
"""

import asyncio
import itertools
import os
import signal
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import aiohttp
import psycopg
import pytest
from psycopg import sql
from tests.e2e.cluster import COUNT, SKILL_MD
from tests.e2e.server import Aspora, started

from aspora.db.attach import attached_dsn

pytestmark = pytest.mark.timeout(300)

IS_FULL = os.environ.get("ASPORA_TEST_FAULTS") == "full"
AWAY_SECONDS = 10.0 if IS_FULL else 2.0
HEALED_SECONDS = 60.0
ANSWER_SECONDS = 45.0
"""The longest that the API lets anybody wait: a statement's 30 s, a connection's 10 s and what a busy machine needs."""

BETWEEN_SECONDS = 0.1
ENDED = {"Succeeded", "Failed", "Cancelled"}
DOMAINS = "/api/v1/domains"
RUN = f"{DOMAINS}/nodes/skills/count/executions"
SLOW_DISK: Mapping[str, LiteralString] = {"commit_delay": "2700", "commit_siblings": "0"}
"""As a disk that takes 2.7 ms more for each flush."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    method: str
    status: int
    body: Any
    retry_after: str | None
    seconds: float


@dataclass(slots=True)
class Site:
    """An Aspora that runs, a session, and every answer so far."""

    aspora: Aspora
    session: aiohttp.ClientSession
    answers: list[Answer] = field(default_factory=list[Answer])

    async def call(self, method: str, path: str, body: Any = None, *, key: str = "") -> Answer:
        """One request; a connection that breaks fails the test, for the gateway is well."""
        began = time.monotonic()
        headers = {"Authorization": f"Bearer {self.aspora.key}"} | ({"Idempotency-Key": key} if key else {})
        async with self.session.request(method, self.aspora.url + path, json=body, headers=headers) as told:
            answer = Answer(
                method, told.status, await told.json(), told.headers.get("Retry-After"), time.monotonic() - began
            )
        self.answers.append(answer)
        return answer

    async def insist(self, method: str, path: str, body: Any = None, *, key: str = "") -> Any:
        """Ask until it is done, as a client does who is told to come again; the body."""
        async with asyncio.timeout(AWAY_SECONDS + HEALED_SECONDS):
            while True:
                answer = await self.call(method, path, body, key=key)
                if answer.status < 300:
                    return answer.body
                assert answer.status == 503, answer
                await asyncio.sleep(float(answer.retry_after or 0))

    async def run(self, n: int, *, wait: int) -> str:
        """Run the skill; the execution's name."""
        wire = {"input": {"userMessage": "", "userId": f"u{n}", "metadata": {"n": n, "seconds": 0.05}}}
        body = await self.insist("POST", f"{RUN}?wait={wait}", wire, key=f"key-{n}")
        return str(body["metadata"]["name"])


@pytest.fixture(scope="module")
def aspora() -> Generator[Aspora]:
    with started(ASPORA_SANDBOX_WARM="1", ASPORA_EXECUTOR_SLOTS="4") as running:
        skill = running.data_dir.parent / "skills" / "nodes" / "count"
        (skill / "code").mkdir(parents=True)
        (skill / "SKILL.md").write_text(SKILL_MD.format(description="Counts."))
        (skill / "code" / "handler.py").write_text(COUNT)
        running.ok("apply", "-f", str(skill.parents[1]))
        yield running


@pytest.fixture
async def site(aspora: Aspora) -> AsyncGenerator[Site]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS)) as session:
        yield Site(aspora, session)


NUMBERS = itertools.count(1)
"""Of executions, over all tests of the module: each has an idempotency key of its own."""


class Users:
    """Who reads, who writes and who runs skills, one request after the other, until told to stop."""

    def __init__(self, site: Site, name: str) -> None:
        self._site = site
        self._name = name
        self._stop = asyncio.Event()
        self.executions: dict[str, int] = {}
        self.written = 0

    async def run(self) -> None:
        async with asyncio.TaskGroup() as users:
            users.create_task(self._read())
            users.create_task(self._write())
            users.create_task(self._execute(wait=0))
            users.create_task(self._execute(wait=20))

    def stop(self) -> None:
        self._stop.set()

    async def _read(self) -> None:
        while not self._stop.is_set():
            await self._site.insist("GET", f"{DOMAINS}/nodes")
            await self._site.insist("GET", f"{DOMAINS}/nodes/executions?limit=5")
            await asyncio.sleep(BETWEEN_SECONDS)

    async def _write(self) -> None:
        """Writes what counts up; what was acknowledged is there."""
        path = f"{DOMAINS}/{self._name}"
        made = await self._site.call("POST", DOMAINS, {"metadata": {"name": self._name}, "spec": {"description": "0"}})
        assert made.status == 201, made
        while not self._stop.is_set():
            obj = await self._site.insist("GET", path)
            assert int(obj["spec"]["description"]) >= self.written
            obj["spec"]["description"] = str(self.written + 1)
            answer = await self._site.call("PUT", path, obj)
            assert answer.status in {200, 409, 503}, answer
            # A 503 may be a write of which nobody knows whether it was saved; then it may be there at the next look.
            if answer.status == 200:
                self.written = int(answer.body["spec"]["description"])
            await asyncio.sleep(BETWEEN_SECONDS)

    async def _execute(self, *, wait: int) -> None:
        while not self._stop.is_set():
            n = next(NUMBERS)
            self.executions[await self._site.run(n, wait=wait)] = n
            await asyncio.sleep(BETWEEN_SECONDS)


def pids(aspora: Aspora) -> list[int]:
    """The process of this very Aspora's database and all that it forked."""
    [pid_file] = aspora.data_dir.glob("*/postmaster.pid")
    server = int(pid_file.read_text().splitlines()[0])
    found = [server]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            if parent == server:
                found.append(int(entry.name))
    return found


async def kill_again_and_again(aspora: Aspora) -> None:
    """Whenever the supervisor has started it anew."""
    until, killed = time.monotonic() + AWAY_SECONDS, 0
    while time.monotonic() < until:
        try:
            server = pids(aspora)[0]
        except ValueError:
            continue  # Between two servers.
        finally:
            await asyncio.sleep(0.05)
        if server != killed:
            os.kill(server, signal.SIGKILL)
            killed = server
    assert killed


async def hang(aspora: Aspora) -> None:
    stopped = pids(aspora)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(AWAY_SECONDS)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


async def state_of(site: Site, name: str) -> Mapping[str, Any]:
    return (await site.insist("GET", f"{DOMAINS}/nodes/executions/{name}"))["status"]


async def check_each_ended_once(site: Site, executions: Mapping[str, int]) -> None:
    """Each that was accepted has ended, once, with its own answer; no other was made."""
    async with asyncio.timeout(HEALED_SECONDS):
        for name, n in executions.items():
            while (status := await state_of(site, name))["state"] not in ENDED:
                await asyncio.sleep(0.2)
            assert status["state"] == "Succeeded", (name, status)
            assert status["result"]["data"] == {"n": n}
            headers = {"Authorization": f"Bearer {site.aspora.key}"}
            events = f"{site.aspora.url}{DOMAINS}/nodes/executions/{name}/events"
            async with site.session.get(events, headers=headers) as answer:
                lines = (await answer.text()).splitlines()
            assert sum('"type":"Finished"' in line for line in lines) == 1, lines
    page = await site.insist("GET", f"{DOMAINS}/nodes/executions?limit=1000")
    assert {item["metadata"]["name"] for item in page["items"]} >= set(executions)
    numbers = [n for item in page["items"] if (n := number_of(item)) in executions.values()]
    assert sorted(numbers) == sorted(executions.values()), "a request that was sent again made another execution"


def number_of(execution: Mapping[str, Any]) -> int:
    return int(execution["spec"]["input"]["metadata"]["n"])


@pytest.mark.parametrize("fault", [kill_again_and_again, hang])
async def test_faults_a_database_that_is_away_is_waited_for_or_told(site: Site, fault: Callable[..., Any]) -> None:
    users = Users(site, fault.__name__.replace("_", "-"))
    work = asyncio.create_task(users.run())
    await asyncio.sleep(1)
    before = users.written
    await fault(site.aspora)
    healed = dict.fromkeys(("GET", "PUT", "POST"), False)
    seen = len(site.answers)
    async with asyncio.timeout(HEALED_SECONDS):
        while not all(healed.values()) and not work.done():
            healed |= {a.method: True for a in site.answers[seen:] if a.status < 300 and a.method in healed}
            await asyncio.sleep(0.1)
    users.stop()
    async with asyncio.timeout(HEALED_SECONDS):
        await work
    assert users.written > before
    bad = [a for a in site.answers if a.status >= 400 and a.status not in {409, 503}]
    assert not bad, bad
    assert all(a.retry_after for a in site.answers if a.status == 503), [a for a in site.answers if a.status == 503]
    print(
        f"{len(site.answers)} answers, {sum(a.status == 503 for a in site.answers)} of them 503, "
        f"the slowest after {max(a.seconds for a in site.answers):.1f} s; {len(users.executions)} executions"
    )
    await check_each_ended_once(site, users.executions)


def _set(aspora: Aspora, settings: Mapping[str, LiteralString]) -> None:
    dsn = attached_dsn(aspora.data_dir, uid=os.geteuid(), superuser=True)
    with psycopg.connect(dsn, autocommit=True) as connection:
        for name, value in settings.items():
            connection.execute(sql.SQL("alter system set {} = {}").format(sql.Identifier(name), sql.SQL(value)))
        connection.execute("select pg_reload_conf()")


@pytest.fixture
def slow_disk(aspora: Aspora) -> Generator[None]:
    _set(aspora, SLOW_DISK)
    try:
        yield
    finally:
        _set(aspora, dict.fromkeys(SLOW_DISK, "default"))


async def test_faults_a_slow_disk_delays_and_nothing_more(site: Site, slow_disk: None) -> None:
    events: list[str] = []

    async def watch(since: str) -> None:
        headers = {"Authorization": f"Bearer {site.aspora.key}"}
        path = f"{DOMAINS}?watch=true&resourceVersion={since}"
        async with site.session.get(site.aspora.url + path, headers=headers) as answer:
            async for line in answer.content:
                events.append(line.decode())

    page = await site.insist("GET", DOMAINS)
    watching = asyncio.create_task(watch(page["metadata"]["resourceVersion"]))
    try:
        await asyncio.gather(
            *(site.insist("POST", DOMAINS, {"metadata": {"name": f"slow-{i}"}, "spec": {}}) for i in range(10))
        )
        async with asyncio.timeout(HEALED_SECONDS):
            while not all(any(f'"slow-{i}"' in event for event in events) for i in range(10)):
                await asyncio.sleep(0.05)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    numbers = [next(NUMBERS) for _ in range(6)]
    names = await asyncio.gather(*(site.run(n, wait=20 * (n % 2)) for n in numbers))
    await check_each_ended_once(site, dict(zip(names, numbers, strict=True)))
    assert "count" in await asyncio.to_thread(
        site.aspora.ok, "apply", "-f", str(site.aspora.data_dir.parent / "skills")
    )
