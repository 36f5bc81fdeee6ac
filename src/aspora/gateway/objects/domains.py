"""A domain that still holds objects stays."""

from aspora.apis.kind import Scope
from aspora.gateway.objects.resources import Resources
from aspora.meta.errors import Conflict
from aspora.store.interface import Store

NAMES_SHOWN = 3


async def require_empty(store: Store, resources: Resources, domain: str) -> None:
    """Refuse to delete a domain with objects in it, and say which; the last word has the store (`Write.empty_domain`).

    Raises:
        Conflict: Names what is left, by kind.
    """
    left: list[str] = []
    for kind in resources.kinds():
        if kind.scope is Scope.CLUSTER:
            continue
        page = await store.list(kind.kind, domain=domain, limit=NAMES_SHOWN + 1)
        names = [str(obj["metadata"]["name"]) for obj in page.items]
        if names:
            more = ", …" if len(names) > NAMES_SHOWN else ""
            left.append(f"{kind.plural} {', '.join(names[:NAMES_SHOWN])}{more}")
    if left:
        raise Conflict(f"domain {domain!r} still holds {'; '.join(left)}; delete these first")
