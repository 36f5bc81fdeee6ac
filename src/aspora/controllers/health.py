"""Whether a skill keeps the thresholds of its monitoring: condition `Healthy`, written only when the answer changes.

The numbers are read from the API once for all skills; they stand in no status and no message. An answer stays until
there is enough to say another: while nothing runs, nothing is written.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from aspora.client.interface import Client, Records, Wire
from aspora.controllers.interface import ControllerParts
from aspora.kit.clock import Clock
from aspora.meta.conditions import find_condition, set_condition
from aspora.meta.errors import NotFound
from aspora.meta.objects import Condition, to_wire
from aspora.reconcile.controller import Controller
from aspora.reconcile.informer import Informer, request_of
from aspora.reconcile.interface import Request, Result

HEALTHY = "Healthy"
PATH = "/api/v1/health/skills"
POLL_SECONDS = 30.0
MIN_EXECUTIONS = 20
"""So many must have ended in the window before they say anything."""

RECOVERY_PERCENT = 80
"""A skill that crossed a threshold is healthy again at so much of it."""

Status = Literal["True", "False", "Unknown"]
Numbers = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Decision:
    """What the condition shall say."""

    status: Status
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class _Limit:
    """A threshold: how it is written, what it is compared with, what its crossing is called."""

    field: str
    reason: str
    says: str

    def measure(self, numbers: Numbers) -> float | None:
        """The measured figure in the threshold's unit; None when there is none."""
        ended = numbers["succeeded"] + numbers["failed"]
        match self.field:
            case "errorRateBp":
                return 10_000 * numbers["failed"] / ended
            case "latencyP95Ms":
                return numbers.get("p95Ms")
            case _:
                return numbers["costMicroUsd"] / ended


LIMITS = (
    _Limit("errorRateBp", "TooManyFailures", "more than {} basis points of its executions fail"),
    _Limit("latencyP95Ms", "TooSlow", "the 95th percentile of its executions is over {} ms"),
    _Limit("costPerExecutionMicroUsd", "TooExpensive", "its executions cost more than {} micro-USD on average"),
)


def decide(thresholds: Mapping[str, Any], numbers: Numbers, present: Condition | None) -> Decision | None:
    """What the condition shall say now; None to leave it as it is.

    Args:
        thresholds: `spec.monitoring.thresholds`.
        numbers: A `SkillHealth`.
        present: The condition as it is.
    """
    limits = [limit for limit in LIMITS if thresholds.get(limit.field) is not None]
    if not limits:
        return Decision("Unknown", "NotMonitored") if present is not None else None
    if numbers["succeeded"] + numbers["failed"] < MIN_EXECUTIONS:
        return None
    for limit in limits:
        threshold = thresholds[limit.field]
        was_crossed = present is not None and present.status == "False" and present.reason == limit.reason
        bar = threshold * RECOVERY_PERCENT / 100 if was_crossed else threshold
        measured = limit.measure(numbers)
        if measured is not None and measured > bar:
            return Decision("False", limit.reason, limit.says.format(threshold))
    return Decision("True", "WithinThresholds")


class HealthReconciler:
    """Looks at one skill."""

    def __init__(self, client: Client, records: Records, clock: Clock) -> None:
        self._client = client
        self._records = records
        self._clock = clock

    async def reconcile(self, request: Request) -> Result:
        """Decide anew on the present numbers and say so when it differs."""
        try:
            skill = await self._client.get("Skill", request.name, domain=request.domain)
            numbers = await self._records.read(f"/api/v1/domains/{request.domain}/skills/{request.name}/health", {})
        except NotFound:
            return Result()
        decision = _changed(skill, numbers)
        if decision is None or "deletionTimestamp" in skill["metadata"]:
            return Result()
        status: dict[str, Any] = dict(skill.get("status") or {})
        conditions = set_condition(
            _conditions(skill),
            type_=HEALTHY,
            status=decision.status,
            reason=decision.reason,
            message=decision.message,
            now=self._clock.now(),
        )
        status["conditions"] = [to_wire(c) for c in conditions]
        await self._client.update({**skill, "status": status}, status=True)
        return Result()


class HealthPoll:
    """Reads all numbers at once and names the skills whose condition should say something else."""

    def __init__(self, records: Records, skills: Informer) -> None:
        self._records = records
        self._skills = skills

    async def __call__(self) -> list[Request]:
        """The skills to look at; asks for nothing while no skill is monitored."""
        watched = [skill for skill in self._skills.objects() if _thresholds(skill) or _present(skill)]
        if not watched:
            return []
        answer = await self._records.read(PATH, {})
        numbers = {(n["metadata"]["domain"], n["metadata"]["name"]): n for n in answer["items"]}
        return [
            request_of(skill)
            for skill in watched
            if _changed(skill, numbers.get((skill["metadata"]["domain"], skill["metadata"]["name"]), _NOTHING))
        ]


_NOTHING: Numbers = {"succeeded": 0, "failed": 0, "costMicroUsd": 0}


def _changed(skill: Wire, numbers: Numbers) -> Decision | None:
    """The decision, unless the condition says it already."""
    present = _present(skill)
    decision = decide(_thresholds(skill), numbers, present)
    if decision is None or present is None:
        return decision
    said = Decision(present.status, present.reason, present.message)
    return None if said == decision else decision


def _thresholds(skill: Wire) -> Mapping[str, Any]:
    thresholds: Mapping[str, Any] = skill["spec"].get("monitoring", {}).get("thresholds", {})
    return {limit.field: thresholds[limit.field] for limit in LIMITS if thresholds.get(limit.field) is not None}


def _conditions(skill: Wire) -> list[Condition]:
    return [Condition.model_validate(c) for c in (skill.get("status") or {}).get("conditions", [])]


def _present(skill: Wire) -> Condition | None:
    return find_condition(_conditions(skill), HEALTHY)


def _if_decided(obj: Wire) -> Iterable[Request]:
    """A change of a skill can only matter when its thresholds went away under a decision."""
    return [request_of(obj)] if _present(obj) and not _thresholds(obj) else []


def build(parts: ControllerParts) -> Controller:
    """The controller of the condition `Healthy`."""
    skills = parts.informers.of("Skill")
    controller = Controller("health", HealthReconciler(parts.client, parts.records, parts.clock), workers=1)
    controller.watch(skills, _if_decided)
    controller.poll(POLL_SECONDS, HealthPoll(parts.records, skills))
    return controller
