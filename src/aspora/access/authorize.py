"""May this caller do that? Pure decisions over grants.

Two rules shape the answers. What a caller may not see answers like what does not exist: in a domain where they have no
grant at all, everything is `NotFound`, word for word as for a domain that isn't there. And a decision never looks at
whether the object exists, so `Forbidden` tells nothing either.
"""

from collections.abc import Iterable

from aspora.access.interface import ANY, ANY_STATUS, Caller, Grant
from aspora.meta.errors import Forbidden, NotFound, StatusError

DOMAINS = "domains"
_STATUS_SUFFIX = "/status"


def _kind_matches(kinds: frozenset[str], plural: str) -> bool:
    return plural in kinds or (ANY_STATUS if plural.endswith(_STATUS_SUFFIX) else ANY) in kinds


def _place(plural: str, domain: str | None, name: str | None) -> str:
    """Where a request is judged: a Domain object counts as lying in itself, as a Kubernetes namespace does."""
    return (name or "") if plural.partition("/")[0] == DOMAINS else (domain or "")


def grant_allows(grant: Grant, verb: str, plural: str, place: str, name: str | None) -> bool:
    """Whether one grant covers one request; `place` "" is the cluster."""
    return (
        grant.domain in {None, place}
        and (verb in grant.verbs or ANY in grant.verbs)
        and _kind_matches(grant.kinds, plural)
        and (not grant.names or name in grant.names)
    )


def is_allowed(caller: Caller, verb: str, plural: str, domain: str | None = None, name: str | None = None) -> bool:
    """Whether the caller may; `domain` None for a cluster-wide request, `name` None for a whole list."""
    place = _place(plural, domain, name)
    return any(grant_allows(grant, verb, plural, place, name) for grant in caller.grants)


def authorize(caller: Caller, verb: str, plural: str, domain: str | None = None, name: str | None = None) -> None:
    """Refuse what the caller may not do.

    Raises:
        NotFound: They have nothing at all in that domain; the same answer as for a domain that doesn't exist.
        Forbidden: They are at home there, yet may not do this.
    """
    if not is_allowed(caller, verb, plural, domain, name):
        raise refusal(caller, verb, plural, domain, name)


def refusal(caller: Caller, verb: str, plural: str, domain: str | None, name: str | None) -> StatusError:
    """The error for a request that is not allowed."""
    place = _place(plural, domain, name)
    if place and not sees_domain(caller, place):
        return no_such_domain(place)
    what = f"{plural} {name!r}" if name else plural
    where = f"in domain {domain!r}" if domain else "cluster-wide"
    return Forbidden(f"{caller.name!r} may not {verb} {what} {where}; bind a role that allows it to them there")


def no_such_domain(domain: str) -> NotFound:
    """The one answer for a domain that isn't there and for one that the caller may not see."""
    return NotFound(f"domain {domain!r} not found; create it with 'aspora create domain {domain}'")


def sees_domain(caller: Caller, domain: str) -> bool:
    """Whether the caller has any grant there."""
    domains = caller.domains
    return domains is None or domain in domains


def domains_allowed(caller: Caller, verb: str, plural: str) -> frozenset[str] | None:
    """Where the caller may do that to a whole list; None for everywhere, "" among them for cluster-wide objects."""
    places = {
        grant.domain
        for grant in caller.grants
        if (verb in grant.verbs or ANY in grant.verbs) and _kind_matches(grant.kinds, plural) and not grant.names
    }
    return None if None in places else frozenset(place for place in places if place is not None)


def lacking(caller: Caller, wanted: Iterable[Grant]) -> list[Grant]:
    """The wanted grants that the caller's own do not cover; whoever grants must hold them all."""
    return [want for want in wanted if not any(_covers(have, want) for have in caller.grants)]


def _covers(have: Grant, want: Grant) -> bool:
    """One grant holds all of another. A want spread over several grants counts as lacking: split it to grant it."""
    verbs = ANY in have.verbs or want.verbs <= have.verbs
    kinds = all(_kind_covered(have.kinds, kind) for kind in want.kinds)
    names = not have.names or (bool(want.names) and want.names <= have.names)
    return have.domain in {None, want.domain} and verbs and kinds and names


def _kind_covered(kinds: frozenset[str], wanted: str) -> bool:
    return wanted in kinds if wanted in {ANY, ANY_STATUS} else _kind_matches(kinds, wanted)
