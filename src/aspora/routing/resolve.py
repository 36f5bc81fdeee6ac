"""From a skill and an environment to the revision that serves one request."""

from dataclasses import dataclass

from aspora.access.interface import ObjectReader, Wire
from aspora.apis.route import route_name
from aspora.meta.errors import Invalid, NotFound, Unavailable
from aspora.meta.names import did_you_mean
from aspora.routing.shares import Share, bucket_of, pick


@dataclass(frozen=True, slots=True)
class Target:
    """The revision that serves a request, and its skill's spec at that time."""

    revision: str
    skill_spec: Wire


async def resolve(
    reader: ObjectReader, *, domain: str, skill: str, environment: str, user: str, pinned: str | None
) -> Target:
    """Choose the revision.

    Args:
        user: Who asks: the same user gets the same revision while the shares stay.
        pinned: A revision asked for by name; the Route is not consulted then.

    Raises:
        NotFound: No such skill, or no such revision.
        Invalid: The pinned revision is another skill's.
        Unavailable: The Route sends nobody anywhere, or not to this user.
    """
    if await reader.get("Skill", skill, domain=domain) is None:
        known = [s["metadata"]["name"] for s in await reader.list("Skill", domain=domain)]
        raise NotFound(f"skill {skill!r} not found in domain {domain!r}{did_you_mean(skill, known)}")
    if pinned is not None:
        return await _pinned(reader, domain=domain, skill=skill, revision=pinned)
    name = route_name(skill, environment)
    route = await reader.get("Route", name, domain=domain)
    revision = _by_share(route, domain=domain, name=name, user=user)
    found = await reader.get("Revision", revision, domain=domain)
    if found is None:
        raise Unavailable(
            f"route {name!r} points at revision {revision!r}, which is gone; apply the skill again, or point the route "
            "elsewhere with 'aspora rollback'"
        )
    return Target(revision, found["spec"]["skillSpec"])


async def _pinned(reader: ObjectReader, *, domain: str, skill: str, revision: str) -> Target:
    found = await reader.get("Revision", revision, domain=domain)
    if found is None:
        raise NotFound(f"revision {revision!r} not found in domain {domain!r}; 'aspora get revisions' lists them")
    if found["spec"]["skill"] != skill:
        raise Invalid(f"revision {revision!r} is of skill {found['spec']['skill']!r}, not of {skill!r}")
    return Target(revision, found["spec"]["skillSpec"])


def _by_share(route: Wire | None, *, domain: str, name: str, user: str) -> str:
    if route is None:
        raise Unavailable(
            f"there is no route {name!r} in domain {domain!r} yet: the skill is not released to that environment; "
            "if it was applied just now, try again",
            retry_after_seconds=1,
        )
    shares = [Share(t["revision"], t["shareBp"]) for t in route["spec"].get("traffic", [])]
    chosen = pick(shares, bucket_of(domain=domain, route=name, user=user))
    if chosen is None:
        raise Unavailable(
            f"route {name!r} sends traffic to no revision; apply the skill again, or set spec.traffic of the route"
        )
    return chosen
