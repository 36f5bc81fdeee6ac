"""Where a caller may do something with records, which lie in domains but are no objects."""

from aspora.access.authorize import authorize, domains_allowed, no_such_domain
from aspora.access.interface import Caller, ObjectReader
from aspora.meta.errors import Forbidden


async def visible_domains(
    caller: Caller, reader: ObjectReader, *, verb: str, plural: str, domain: str | None
) -> tuple[str, ...] | None:
    """The given domain, or without one all in which the caller may do that: None for everywhere, "" is the cluster.

    Raises:
        NotFound: No such domain, or none the caller may see.
        Forbidden: They may do it nowhere.
    """
    if domain is not None:
        authorize(caller, verb, plural, domain)
        if await reader.get("Domain", domain) is None:
            raise no_such_domain(domain)
        return (domain,)
    allowed = domains_allowed(caller, verb, plural)
    if allowed is None:
        return None
    if not allowed:
        raise Forbidden(f"{caller.name!r} may not {verb} {plural} anywhere; bind a role that allows it to them")
    return tuple(sorted(allowed))
