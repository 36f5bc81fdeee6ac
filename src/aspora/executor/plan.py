"""From a revision to what an attempt needs to know: files, handler or agent, limits, permissions."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aspora.apis.skill import SkillSpec
from aspora.client.interface import Client, Wire
from aspora.executor.failures import ExecutionFailed
from aspora.executor.interface import RevisionSource
from aspora.meta.errors import NotFound, StatusError, Timeout, Unauthorized, Unavailable
from aspora.sandbox.interface import Limits
from aspora.telemetry.caches import UNCOUNTED, CacheMeter

_CACHED_REVISIONS: Final = 256
_ASK_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A revision, read once.

    Attributes:
        version: The version people read.
        artifact: Digest of the skill's files.
        entry_point: The handler's file; "" when the agent loop runs SKILL.md.
        limits: What the handler may use; the timeout holds for the agent loop too.
        spec: The skill's whole spec, for the agent loop.
    """

    skill: str
    revision: str
    version: str
    artifact: str
    entry_point: str
    language: str
    limits: Limits
    tools: frozenset[str]
    spec: SkillSpec

    @property
    def is_agent(self) -> bool:
        """Whether the agent loop runs it, not a handler."""
        return not self.entry_point


def plan_of(revision: Wire) -> Plan:
    """Read a Revision's wire form."""
    spec = SkillSpec.model_validate(revision["spec"]["skillSpec"])
    runtime = spec.runtime
    return Plan(
        skill=revision["spec"]["skill"],
        revision=revision["metadata"]["name"],
        version=revision["spec"]["version"],
        artifact=spec.artifact.digest,
        entry_point=runtime.entry_point or "",
        language=runtime.language,
        limits=Limits(
            timeout_seconds=float(runtime.timeout_seconds),
            memory_bytes=runtime.memory_bytes,
            cpu_millis=runtime.cpu_millis,
        ),
        tools=frozenset(spec.permissions.tools),
        spec=spec,
    )


class ClientRevisions:
    """Revisions over the API."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def load(self, domain: str, name: str) -> Wire:
        """The Revision's wire form; see `RevisionSource`."""
        return await self._client.get("Revision", name, domain=domain)


class Plans:
    """Plans by revision, the latest used of them kept: a revision never changes.

    Args:
        retry_seconds: Between two questions to a gateway that does not answer.
        ask_seconds: For one question, so that a gateway that fell silent leaves time for another.
        capacity: How many plans are kept.
        meter: Counts hits, misses and evictions.
    """

    def __init__(
        self,
        revisions: RevisionSource,
        *,
        retry_seconds: float = 0.2,
        ask_seconds: float = _ASK_SECONDS,
        capacity: int = _CACHED_REVISIONS,
        read: Callable[[Wire], Plan] = plan_of,
        meter: CacheMeter = UNCOUNTED,
    ) -> None:
        self._revisions = revisions
        self._retry_seconds = retry_seconds
        self._ask_seconds = ask_seconds
        self._capacity = capacity
        self._read = read
        self._plans: OrderedDict[tuple[str, str], Plan] = OrderedDict()
        self._meter = meter
        self._meter.show_entries(lambda: len(self._plans))

    async def load(self, domain: str, name: str, *, within_seconds: float) -> Plan:
        """The plan of a revision; a gateway that does not answer is asked again while there is time.

        Raises:
            ExecutionFailed: The revision is gone, or could not be read in time.
        """
        known = self._plans.get((domain, name))
        if known is not None:
            self._meter.hit()
        else:
            self._meter.miss()
            known = self._read(await self._fetch(domain, name, within_seconds))
            self._plans[domain, name] = known
        self._plans.move_to_end((domain, name))
        while len(self._plans) > self._capacity:
            self._plans.popitem(last=False)
            self._meter.evicted()
        return known

    async def _fetch(self, domain: str, name: str, within_seconds: float) -> Wire:
        give_up_at = asyncio.get_running_loop().time() + within_seconds
        while True:
            try:
                async with asyncio.timeout(self._ask_seconds):
                    return await self._revisions.load(domain, name)
            except NotFound:
                raise ExecutionFailed(
                    "RevisionNotFound", f"revision {name!r} is gone from domain {domain!r}; apply the skill again"
                ) from None
            except (Unavailable, Timeout, Unauthorized, TimeoutError) as error:
                # A key made a moment ago may not be known to every gateway yet.
                if asyncio.get_running_loop().time() + self._retry_seconds > give_up_at:
                    message = f"revision {name!r} could not be read: {_why(error)}"
                    raise ExecutionFailed("Unavailable", message) from None
                await asyncio.sleep(self._retry_seconds)


def _why(error: StatusError | TimeoutError) -> str:
    return error.message if isinstance(error, StatusError) else "the gateway did not answer; run it again"
