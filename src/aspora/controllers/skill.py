"""Skill → Revision → Route: each new content becomes an immutable revision, and production points at it.

The Route moves once for each generation of the Skill: the generation it follows is written on it in the same update. So
a rollback stays where a person put it until the skill itself changes, and a crash between any two writes heals.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aspora.apis.revision import revision_name
from aspora.apis.route import FULL_SHARE_BP, route_name
from aspora.apis.skill import ROLLED_BACK, SERVES_OTHERS_TOO
from aspora.client.interface import Client, Wire
from aspora.controllers.interface import ControllerParts
from aspora.kit.clock import Clock
from aspora.meta.conditions import READY, set_condition
from aspora.meta.errors import API_VERSION, AlreadyExists, Invalid, NotFound
from aspora.meta.objects import Condition, to_wire
from aspora.reconcile.controller import Controller
from aspora.reconcile.events import EventRecorder, NoEvents
from aspora.reconcile.informer import request_of
from aspora.reconcile.interface import Request, Result

Traffic = Sequence[Mapping[str, Any]]

SKILL_LABEL = "aspora.dev/skill"
FOLLOWS = "aspora.dev/follows"
ENVIRONMENT = "production"


def skill_digest(spec: Mapping[str, Any]) -> str:
    """SHA-256 over a skill's spec, which holds the artifact's own digest: the identity of its content."""
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _owner(skill: Wire) -> dict[str, Any]:
    return {"kind": "Skill", "name": skill["metadata"]["name"], "uid": skill["metadata"]["uid"], "controller": True}


def _child(kind: str, name: str, skill: Wire) -> dict[str, Any]:
    metadata = {
        "name": name,
        "domain": skill["metadata"]["domain"],
        "labels": {SKILL_LABEL: skill["metadata"]["name"]},
        "ownerReferences": [_owner(skill)],
    }
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata}


def _follows(skill: Wire) -> str:
    return f"{skill['metadata']['uid']}/{skill['metadata']['generation']}"


def _already_follows(route: Wire, skill: Wire) -> bool:
    """Whether the route has already moved for this generation (or a later one) of this very skill."""
    uid, _, generation = route["metadata"].get("annotations", {}).get(FOLLOWS, "").partition("/")
    followed = int(generation) if generation.isdecimal() and len(generation) < 19 else 0
    return uid == skill["metadata"]["uid"] and followed >= skill["metadata"]["generation"]


class SkillReconciler:
    """Keeps the revisions and the production route of one skill."""

    def __init__(self, client: Client, clock: Clock, events: EventRecorder | None = None) -> None:
        self._client = client
        self._clock = clock
        self._events = events or NoEvents()

    async def reconcile(self, request: Request) -> Result:
        """One skill: make its revision, point its route, say so in its status.

        What one that is gone or going leaves behind is the garbage collector's.
        """
        try:
            skill = await self._client.get("Skill", request.name, domain=request.domain)
        except NotFound:
            return Result()
        if "deletionTimestamp" in skill["metadata"]:
            return Result()
        try:
            revision = await self._ensure_revision(skill)
        except Invalid as error:
            await self._report_refused(skill, error)
            raise
        traffic = await self._ensure_route(skill, revision["metadata"]["name"])
        await self._report(skill, revision, traffic)
        return Result()

    async def _ensure_revision(self, skill: Wire) -> Wire:
        digest = skill_digest(skill["spec"])
        name = revision_name(skill["metadata"]["name"], digest)
        try:
            found = await self._client.get("Revision", name, domain=skill["metadata"]["domain"])
            return await self._adopt(found, skill)
        except NotFound:
            version = skill["spec"].get("version") or self._clock.now().strftime("%Y%m%d%H%M%S")
            spec = {
                "skill": skill["metadata"]["name"],
                "digest": digest,
                "version": version,
                "skillSpec": skill["spec"],
            }
            await self._create_once({**_child("Revision", name, skill), "spec": spec})
            self._events.record(skill, "RevisionCreated", f"revision {name} holds the present content")
        return await self._client.get("Revision", name, domain=skill["metadata"]["domain"])

    async def _adopt(self, revision: Wire, skill: Wire) -> Wire:
        """The revision as this skill's own: one that a former skill of that name left is not garbage any more."""
        metadata = revision["metadata"]
        owner = _owner(skill)
        if any(o["uid"] == owner["uid"] for o in metadata.get("ownerReferences", [])):
            return revision
        return await self._client.update({**revision, "metadata": {**metadata, "ownerReferences": [owner]}})

    async def _ensure_route(self, skill: Wire, revision: str) -> Traffic:
        """Point the route at the revision unless it has moved for this generation before; what it serves now."""
        name = route_name(skill["metadata"]["name"], ENVIRONMENT)
        traffic = [{"revision": revision, "shareBp": FULL_SHARE_BP}]
        try:
            route = await self._client.get("Route", name, domain=skill["metadata"]["domain"])
        except NotFound:
            new = _child("Route", name, skill)
            new["metadata"]["annotations"] = {FOLLOWS: _follows(skill)}
            new["spec"] = {"skill": skill["metadata"]["name"], "environment": ENVIRONMENT, "traffic": traffic}
            await self._create_once(new)
            return traffic
        if _already_follows(route, skill):
            return route["spec"].get("traffic", [])
        metadata = {
            **route["metadata"],
            "annotations": {**route["metadata"].get("annotations", {}), FOLLOWS: _follows(skill)},
            "ownerReferences": [_owner(skill)],
        }
        await self._client.update({**route, "metadata": metadata, "spec": {**route["spec"], "traffic": traffic}})
        return traffic

    async def _create_once(self, obj: Wire) -> None:
        try:
            await self._client.create(obj)
        except AlreadyExists:
            return

    async def _report_refused(self, skill: Wire, error: Invalid) -> None:
        """The skill is older than a rule, or its artifact went away since: it says why nothing new is served."""
        old: dict[str, Any] = dict(skill.get("status") or {})
        conditions = set_condition(
            [Condition.model_validate(c) for c in old.get("conditions", [])],
            type_=READY,
            status="False",
            reason="RevisionRefused",
            message=error.message,
            now=self._clock.now(),
        )
        generation: int = skill["metadata"]["generation"]
        new = {**old, "observedGeneration": generation, "conditions": [to_wire(c) for c in conditions]}
        if new != old:
            await self._client.update({**skill, "status": new}, status=True)

    async def _report(self, skill: Wire, revision: Wire, traffic: Traffic) -> None:
        old: dict[str, Any] = dict(skill.get("status") or {})
        name: str = revision["metadata"]["name"]
        generation: int = skill["metadata"]["generation"]
        conditions = set_condition(
            [Condition.model_validate(c) for c in old.get("conditions", [])],
            type_=READY,
            status="True" if traffic else "False",
            reason=_reason(traffic, latest=name),
            message=_serving(traffic),
            now=self._clock.now(),
        )
        new = {
            **old,
            "observedGeneration": generation,
            "latestRevision": name,
            "latestVersion": revision["spec"]["version"],
            "conditions": [to_wire(c) for c in conditions],
        }
        if new == old:
            return
        await self._client.update({**skill, "status": new}, status=True)
        # Told by comparing with the status, not where the route is written, so that a person's rollback is told too.
        if _serving(traffic) not in [c.get("message") for c in old.get("conditions", []) if c["type"] == READY]:
            self._events.record(skill, "RouteMoved", _serving(traffic))


def _reason(traffic: Traffic, *, latest: str) -> str:
    """What production serves, in a word: the latest revision alone, with others, others alone, or nothing."""
    if not traffic:
        return "NoTraffic"
    revisions = [t["revision"] for t in traffic]
    if latest not in revisions:
        return ROLLED_BACK
    return "Deployed" if revisions == [latest] else SERVES_OTHERS_TOO


def _serving(traffic: Traffic) -> str:
    shares = ", ".join(f"{t['revision']} {t['shareBp'] / 100:g} %" for t in traffic)
    return f"production serves {shares}" if shares else "production serves no revision"


def _owning_skill(obj: Wire) -> Iterable[Request]:
    name = obj["metadata"].get("labels", {}).get(SKILL_LABEL)
    return [Request(obj["metadata"]["domain"], name)] if name else []


def build(parts: ControllerParts) -> Controller:
    """The skill controller on the informers it lives on."""
    controller = Controller("skill", SkillReconciler(parts.client, parts.clock, parts.events))
    controller.watch(parts.informers.of("Skill"), lambda obj: [request_of(obj)])
    controller.watch(parts.informers.of("Route"), _owning_skill)
    controller.watch(parts.informers.of("Revision"), _owning_skill)
    return controller
