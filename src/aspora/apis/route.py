"""Route: for one skill and one environment, which revisions get which share of the traffic."""

from typing import Any, Literal

from pydantic import Field

from aspora.apis.kind import Column, Kind, Scope, Section, Wire
from aspora.meta.errors import FieldError
from aspora.meta.objects import ApiModel, Object, ObjectStatus

FULL_SHARE_BP = 10_000
Environment = Literal["staging", "production"]


def route_name(skill: str, environment: str) -> str:
    """The name of a skill's Route in an environment."""
    return f"{skill}.{environment}"


class TrafficTarget(ApiModel):
    """A revision and its share."""

    revision: str
    """Name of a Revision of the skill."""
    share_bp: int = Field(ge=0, le=FULL_SHARE_BP)
    """Share of the requests in basis points."""


class RouteSpec(ApiModel):
    """Which revisions serve a skill in an environment."""

    skill: str
    """Name of the Skill in the same domain."""
    environment: Environment = "production"
    """Where it serves; one Route each."""
    traffic: list[TrafficTarget] = Field(default_factory=list[TrafficTarget], max_length=16)
    """Shares; they add up to 10000, or the list is empty and the skill answers Unavailable."""


def validate(route: Object[RouteSpec, ObjectStatus]) -> list[FieldError]:
    """Shares add up to the whole, no revision appears twice, and the name follows from the spec."""
    errors: list[FieldError] = []
    spec = route.spec
    total = sum(t.share_bp for t in spec.traffic)
    if spec.traffic and total != FULL_SHARE_BP:
        errors.append(FieldError("spec.traffic", f"the shares add up to {total}; they must add up to {FULL_SHARE_BP}"))
    seen: set[str] = set()
    for i, target in enumerate(spec.traffic):
        if target.revision in seen:
            errors.append(
                FieldError(
                    f"spec.traffic[{i}].revision",
                    f"{target.revision!r} appears twice; keep one, with the sum of both shares",
                    "Duplicate",
                )
            )
        seen.add(target.revision)
    expected = route_name(spec.skill, spec.environment)
    if route.metadata.name != expected:
        errors.append(FieldError("metadata.name", f"must be {expected!r}, from spec.skill and spec.environment"))
    return errors


def _traffic(obj: Wire) -> str:
    targets: list[dict[str, Any]] = obj["spec"].get("traffic", [])
    return ", ".join(f"{t['revision']}={t['shareBp'] / 100:g}%" for t in targets) or "none"


def describe(obj: Wire) -> list[Section]:
    """The table of shares."""
    targets: list[dict[str, Any]] = obj["spec"].get("traffic", [])
    return [Section("Traffic", tuple((t["revision"], f"{t['shareBp'] / 100:g} %") for t in targets))]


KIND = Kind(
    kind="Route",
    plural="routes",
    scope=Scope.DOMAIN,
    spec=RouteSpec,
    short_names=("rt",),
    validate=validate,
    columns=(Column("SKILL", "spec.skill"), Column("ENV", "spec.environment"), Column("TRAFFIC", _traffic)),
    describe=describe,
    dotted_names=True,
)
