"""Old revisions go: those that no Route names, that are neither among the newest nor young, and that nothing runs.

A request may have chosen a revision just before its Route turned away, and its execution may not be recorded yet. So a
revision goes only when it has been seen idle for a while: no request is routed on a view older than a second.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from aspora.client.interface import Client, Records, Wire
from aspora.controllers.interface import ControllerParts, Policy
from aspora.kit.clock import Clock
from aspora.meta.errors import Conflict, NotFound
from aspora.reconcile.controller import Controller
from aspora.reconcile.informer import request_of
from aspora.reconcile.informers import Informers
from aspora.reconcile.interface import Request, Result

YOUNG = timedelta(hours=24)
IDLE_SECONDS = 60.0
_BY_SKILL = "skill"


def in_use_path(domain: str, skill: str) -> str:
    """Where the API says which revisions have executions that are not over."""
    return f"/api/v1/domains/{domain}/skills/{skill}/revisions-in-use"


class RevisionReconciler:
    """Looks at all revisions of one skill."""

    def __init__(self, client: Client, records: Records, informers: Informers, clock: Clock, policy: Policy) -> None:
        self._client = client
        self._records = records
        self._informers = informers
        self._clock = clock
        self._policy = policy
        self._idle_since: dict[Request, dict[str, float]] = {}
        for kind in ("Revision", "Route"):
            informers.of(kind).add_index(_BY_SKILL, _skill_keys)

    async def reconcile(self, request: Request) -> Result:
        """Delete what the policy does not keep; come back when something will have grown old."""
        skill = self._informers.of("Skill").get(request.name, domain=request.domain)
        if skill is None or request.domain is None:
            return Result()
        spare = self._spare(skill, f"{request.domain}/{request.name}")
        now = self._clock.now()
        old = [revision for revision in spare if now - _made(revision) >= YOUNG]
        waits = [(YOUNG - (now - _made(revision))).total_seconds() for revision in spare if revision not in old]
        before = self._idle_since.pop(request, {})
        if old:
            idle = await self._idle_among(request.domain, request.name, old, before)
            waits += await self._delete_idle(request, old, idle)
        return Result(min(waits) if waits else None)

    def _spare(self, skill: Wire, key: str) -> list[Wire]:
        """The revisions that neither a Route nor the skill's status names, less the newest, oldest last."""
        routes = self._informers.of("Route").by_index(_BY_SKILL, key)
        named = {str(target["revision"]) for route in routes for target in route["spec"].get("traffic", [])}
        named.add(str((skill.get("status") or {}).get("latestRevision")))
        others = [
            revision
            for revision in self._informers.of("Revision").by_index(_BY_SKILL, key)
            if revision["metadata"]["name"] not in named and "deletionTimestamp" not in revision["metadata"]
        ]
        others.sort(key=lambda r: (r["metadata"]["creationTimestamp"], r["metadata"]["name"]), reverse=True)
        return others[self._policy.kept_revisions :]

    async def _idle_among(
        self, domain: str, skill: str, old: list[Wire], before: Mapping[str, float]
    ) -> dict[str, float]:
        """Since when each has been seen with nothing running, by uid; those in use are left out."""
        used = await self._records.read(in_use_path(domain, skill), {})
        now = self._clock.monotonic()
        return {
            r["metadata"]["uid"]: before.get(r["metadata"]["uid"], now)
            for r in old
            if r["metadata"]["name"] not in used["revisions"]
        }

    async def _delete_idle(self, request: Request, old: list[Wire], idle: Mapping[str, float]) -> list[float]:
        """Delete those that have been idle for long enough; for the others, how long to wait."""
        now = self._clock.monotonic()
        kept: dict[str, float] = {}
        waits: list[float] = []
        for revision in old:
            since = idle.get(revision["metadata"]["uid"])
            if since is not None and now - since >= IDLE_SECONDS:
                await self._delete(revision["metadata"])
                continue
            waits.append(IDLE_SECONDS if since is None else IDLE_SECONDS - (now - since))
            if since is not None:
                kept[revision["metadata"]["uid"]] = since
        if kept:
            self._idle_since[request] = kept
        return waits

    async def _delete(self, metadata: Mapping[str, Any]) -> None:
        try:
            await self._client.delete("Revision", metadata["name"], domain=metadata["domain"], uid=metadata["uid"])
        except (NotFound, Conflict):
            return  # It is gone, or a Route names it by now: the Route's change brings the skill back here.


def _made(revision: Wire) -> datetime:
    return datetime.fromisoformat(revision["metadata"]["creationTimestamp"])


def _skill_keys(obj: Wire) -> Iterable[str]:
    return [f"{obj['metadata']['domain']}/{obj['spec']['skill']}"]


def _its_skill(obj: Wire) -> Iterable[Request]:
    return [Request(obj["metadata"]["domain"], obj["spec"]["skill"])]


def build(parts: ControllerParts) -> Controller:
    """The controller that keeps the number of revisions in bounds."""
    reconciler = RevisionReconciler(parts.client, parts.records, parts.informers, parts.clock, parts.policy)
    controller = Controller("revisions", reconciler, workers=1)
    controller.watch(parts.informers.of("Skill"), lambda obj: [request_of(obj)])
    controller.watch(parts.informers.of("Revision"), _its_skill)
    controller.watch(parts.informers.of("Route"), _its_skill)
    return controller
