"""From a skill and an environment to the revision that serves one request."""

from dataclasses import dataclass

from aspora.access.interface import ObjectReader, Wire
from aspora.apis.route import route_name
from aspora.meta.errors import Invalid, NotFound, StatusError, Unavailable
from aspora.meta.names import did_you_mean
from aspora.routing.shares import Share, bucket_of, pick

FOLLOWED_ENVIRONMENT = "production"
"""Where every skill gets a route by itself."""


@dataclass(frozen=True, slots=True)
class Target:
    """The revision that serves a request, and its skill's spec at that time."""

    revision: str
    skill_spec: Wire


async def resolve(
    reader: ObjectReader,
    *,
    domain: str,
    skill: str,
    environment: str,
    user: str,
    pinned: str | None,
    seen_domains: frozenset[str] | None,
) -> Target:
    """Choose the revision.

    Args:
        user: Who asks: the same user gets the same revision while the shares stay.
        pinned: A revision asked for by name; the Route is not consulted then.
        seen_domains: Whose skills the refusal of an unknown one may name; None for every domain's.

    Raises:
        NotFound: No such skill, no such revision, or no Route to that environment.
        Invalid: The pinned revision is another skill's.
        Unavailable: Production's Route is not made yet, or the Route sends this user to no revision that is there.
    """
    if await reader.get("Skill", skill, domain=domain) is None:
        raise await _no_skill(reader, domain=domain, skill=skill, seen_domains=seen_domains)
    if pinned is not None:
        return await _pinned(reader, domain=domain, skill=skill, revision=pinned)
    name = route_name(skill, environment)
    route = await reader.get("Route", name, domain=domain)
    if route is None:
        raise _no_route(domain=domain, skill=skill, environment=environment)
    revision = _by_share(route, domain=domain, user=user)
    if revision is None:
        raise Unavailable(
            f"route {name!r} sends traffic to no revision; "
            + _how_to_point(domain=domain, skill=skill, environment=environment)
        )
    found = await reader.get("Revision", revision, domain=domain)
    if found is None:
        raise Unavailable(
            f"route {name!r} points at revision {revision!r}, which is gone; "
            + _how_to_point(domain=domain, skill=skill, environment=environment)
        )
    return Target(revision, found["spec"]["skillSpec"])


async def _no_skill(reader: ObjectReader, *, domain: str, skill: str, seen_domains: frozenset[str] | None) -> NotFound:
    """The same name in another domain is nearer than a like one in this."""
    places = [s["metadata"] for s in await reader.list("Skill")]
    others = [
        p["domain"] for p in places if p["name"] == skill and (seen_domains is None or p["domain"] in seen_domains)
    ]
    if others:
        qualified = f"{others[0]}/{skill}"
        near = f"; did you mean {qualified!r}?"
    else:
        known = [p["name"] for p in places if p["domain"] == domain]
        near = did_you_mean(skill, known) or "; it has no skill yet: aspora apply -f FOLDER"
    return NotFound(f"skill {skill!r} not found in domain {domain!r}{near}")


async def _pinned(reader: ObjectReader, *, domain: str, skill: str, revision: str) -> Target:
    found = await reader.get("Revision", revision, domain=domain)
    if found is None:
        raise NotFound(f"revision {revision!r} not found in domain {domain!r}; 'aspora get revisions' lists them")
    if found["spec"]["skill"] != skill:
        raise Invalid(
            f"revision {revision!r} is of skill {found['spec']['skill']!r}, not of {skill!r}; "
            "'aspora get revisions' lists them"
        )
    return Target(revision, found["spec"]["skillSpec"])


def _no_route(*, domain: str, skill: str, environment: str) -> StatusError:
    """Production's route is made with the skill's first revision; any other waits for a person."""
    name = route_name(skill, environment)
    if environment == FOLLOWED_ENVIRONMENT:
        return Unavailable(
            f"there is no route {name!r} in domain {domain!r} yet: the skill is being released; try again",
            retry_after_seconds=1,
        )
    return NotFound(
        f"skill {skill!r} is not released to {environment!r} in domain {domain!r}: there is no route {name!r}; "
        f"make one: apply a manifest of kind Route with spec.skill {skill!r}, spec.environment {environment!r} and "
        "spec.traffic to one of 'aspora get revisions'"
    )


def _how_to_point(*, domain: str, skill: str, environment: str) -> str:
    where = "" if environment == FOLLOWED_ENVIRONMENT else f" --env {environment}"
    return f"point it at one: aspora rollback {domain}/{skill} --to REVISION{where}"


def _by_share(route: Wire, *, domain: str, user: str) -> str | None:
    shares = [Share(t["revision"], t["shareBp"]) for t in route["spec"].get("traffic", [])]
    return pick(shares, bucket_of(domain=domain, route=route["metadata"]["name"], user=user))
