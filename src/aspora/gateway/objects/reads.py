"""get and list for every kind, and what a caller may see of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from aspora.access.authorize import authorize, domains_allowed, no_such_domain
from aspora.access.interface import Caller, ObjectReader
from aspora.apis.kind import Scope
from aspora.gateway.objects.hidden import mask
from aspora.gateway.objects.resources import Target, require_verb
from aspora.meta.errors import Forbidden, NotFound
from aspora.meta.selectors import Requirement
from aspora.store.interface import Key, Page, Store, Wire

DOMAIN_KIND = "Domain"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a kind.

    Attributes:
        domain: "" for the cluster, None for all.
        labels: All must match.
        fields: All must match.
    """

    domain: str | None
    labels: Sequence[Requirement] = ()
    fields: Sequence[Requirement] = ()


class ObjectReads:
    """Reads that check who asks; hidden fields are cut out."""

    def __init__(self, *, store: Store, reader: ObjectReader) -> None:
        self._store = store
        self._reader = reader

    async def get(self, caller: Caller, target: Target) -> Wire:
        """One object, from the database."""
        require_verb(target, "get")
        authorize(caller, "get", target.plural, target.domain, target.name)
        return mask(target.kind, await self._store.get(target.key))

    async def list(
        self, caller: Caller, target: Target, selection: Selection, *, limit: int, continue_token: str | None
    ) -> Page:
        """A page of those objects that the caller may see."""
        require_verb(target, "list")
        seen = await self.visible(caller, "list", target, selection)
        page = await self._store.list(
            target.kind.kind,
            domain=seen.domain,
            labels=seen.labels,
            fields=seen.fields,
            limit=limit,
            continue_token=continue_token,
        )
        return replace(page, items=tuple(mask(target.kind, obj) for obj in page.items))

    async def visible(self, caller: Caller, verb: str, target: Target, selection: Selection) -> Selection:
        """The selection, narrowed to what the caller may see.

        Raises:
            NotFound: No such domain, or none that they may see.
            Forbidden: They may see none of it anywhere.
        """
        if target.domain:
            authorize(caller, verb, target.plural, target.domain)
            await self.require_domain(target.domain)
            return selection
        allowed = domains_allowed(caller, verb, target.plural)
        if allowed is None or (selection.domain == "" and "" in allowed):
            return selection
        domains = tuple(sorted(allowed - {""}))
        if not domains or (selection.domain == "" and target.kind.kind != DOMAIN_KIND):
            raise Forbidden(
                f"{caller.name!r} may not {verb} {target.plural} cluster-wide; "
                "list one domain, or bind a role that allows it to them"
            )
        place = "metadata.name" if target.kind.scope is Scope.CLUSTER else "metadata.domain"
        return replace(selection, fields=(*selection.fields, Requirement(place, "in", domains)))

    async def require_domain(self, domain: str) -> Wire:
        """The Domain object; a view's "none" is checked with the database, for it may be new.

        Raises:
            NotFound: No such domain.
        """
        found = await self._reader.get(DOMAIN_KIND, domain)
        if found is not None:
            return found
        try:
            return await self._store.get(Key(DOMAIN_KIND, "", domain))
        except NotFound:
            raise no_such_domain(domain) from None
