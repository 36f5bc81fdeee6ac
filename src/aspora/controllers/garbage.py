"""What has lost its owner goes; what is deleted waits for what it owns, or lets it go, as the delete asked.

An owner is found by its uid: another object of the same name owns nothing of the former one. Whatever this controller
missed while it was away it sees again, since each start looks at every object once.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any

from aspora.apis.builtins import load_kinds
from aspora.apis.kind import Scope
from aspora.client.interface import Client, Propagation, Wire
from aspora.controllers.interface import ControllerParts
from aspora.meta.errors import Conflict, NotFound
from aspora.meta.objects import FOREGROUND_FINALIZER, ORPHAN_FINALIZER
from aspora.reconcile.controller import Controller
from aspora.reconcile.informers import Informers
from aspora.reconcile.interface import Request, Result

BY_UID = "uid"
BY_OWNER = "owner"


class Graph:
    """Who owns whom, as the informers see it."""

    def __init__(self, informers: Informers, kinds: Iterable[str]) -> None:
        self.kinds = tuple(kinds)
        self._informers = informers
        for kind in self.kinds:
            informers.of(kind).add_index(BY_UID, lambda obj: [uid_of(obj)])
            informers.of(kind).add_index(BY_OWNER, lambda obj: [str(owner["uid"]) for owner in owners_of(obj)])

    def find(self, kind: str, uid: str) -> Wire | None:
        """The object of that kind and uid, or None."""
        found = self._informers.of(kind).by_index(BY_UID, uid) if kind in self.kinds else []
        return found[0] if found else None

    def owned_by(self, uid: str) -> list[Wire]:
        """The objects that name that owner."""
        return [obj for kind in self.kinds for obj in self._informers.of(kind).by_index(BY_OWNER, uid)]

    def ancestors(self, obj: Wire) -> set[str]:
        """The uids of all that own the object, at any distance."""
        found: set[str] = set()
        waiting = [obj]
        while waiting:
            for owner in owners_of(waiting.pop()):
                there = self.find(owner["kind"], owner["uid"])
                if there is not None and owner["uid"] not in found:
                    found.add(owner["uid"])
                    waiting.append(there)
        return found


class GarbageReconciler:
    """Looks at one object of any kind."""

    def __init__(self, client: Client, graph: Graph, scopes: Mapping[str, Scope]) -> None:
        self._client = client
        self._graph = graph
        self._scopes = scopes

    async def reconcile(self, request: Request) -> Result:
        """Delete it when its owners are gone; when it is being deleted, see to what it owns."""
        try:
            obj = await self._client.get(request.kind, request.name, domain=request.domain)
        except NotFound:
            return Result()
        if "deletionTimestamp" in obj["metadata"]:
            await self._see_off(obj)
        elif owners_of(obj):
            await self._check_owners(obj)
        return Result()

    async def _check_owners(self, obj: Wire) -> None:
        owners = owners_of(obj)
        there = [owner for owner in owners if await self._is_there(obj, owner)]
        if not there:
            await self._delete(obj, "Background")
        elif len(there) < len(owners):
            await self._set_metadata(obj, ownerReferences=there)

    async def _is_there(self, obj: Wire, owner: Mapping[str, Any]) -> bool:
        """Whether the owner exists; what no informer has seen is asked for."""
        kind = str(owner["kind"])
        if kind not in self._scopes:
            return True  # A kind that this release does not know: nobody can tell, so nothing is lost.
        if self._graph.find(kind, owner["uid"]) is not None:
            return True
        for domain in self._places(kind, obj["metadata"].get("domain")):
            try:
                found = await self._client.get(kind, owner["name"], domain=domain)
            except NotFound:
                continue
            if uid_of(found) == owner["uid"]:
                return True
        return False

    def _places(self, kind: str, domain: str | None) -> list[str | None]:
        match self._scopes[kind]:
            case Scope.CLUSTER:
                return [None]
            case Scope.DOMAIN:
                return [domain]
            case Scope.EITHER:
                return [None] if domain is None else [domain, None]

    async def _see_off(self, obj: Wire) -> None:
        finalizers = obj["metadata"].get("finalizers", [])
        if ORPHAN_FINALIZER in finalizers:
            async for child in self._listed_children(obj):
                rest = [owner for owner in owners_of(child) if owner["uid"] != uid_of(obj)]
                await self._set_metadata(child, ownerReferences=rest)
            await self._let_go(obj, ORPHAN_FINALIZER)
        elif FOREGROUND_FINALIZER in finalizers and not await self._delete_children(obj):
            await self._let_go(obj, FOREGROUND_FINALIZER)

    async def _delete_children(self, obj: Wire) -> bool:
        """Delete what the object owns; whether it must go on waiting for any of it.

        Who waits for this very object in turn, around a circle of owners, is not waited for. One child may hold another
        (a Route its revisions), so all are tried before the first refusal is raised.
        """
        ancestors = self._graph.ancestors(obj)
        refusals: list[Conflict] = []
        waits = False
        for child in self._graph.owned_by(uid_of(obj)):
            stays = True
            if "deletionTimestamp" not in child["metadata"]:
                how: Propagation = "Foreground" if self._graph.owned_by(uid_of(child)) else "Background"
                try:
                    stays = await self._delete(child, how)
                except Conflict as e:
                    refusals.append(e)
            waits = waits or (stays and uid_of(child) not in ancestors)
        if refusals:
            raise refusals[0]
        return waits

    async def _delete(self, obj: Wire, propagation: Propagation) -> bool:
        """Delete an object as it was seen: one that has found another owner meanwhile stays.

        Returns:
            Whether finalizers hold it still.
        """
        metadata = obj["metadata"]
        try:
            last = await self._client.delete(
                obj["kind"],
                metadata["name"],
                domain=metadata.get("domain"),
                uid=metadata["uid"],
                resource_version=metadata["resourceVersion"],
                propagation=propagation,
            )
        except NotFound:
            return False
        return "deletionTimestamp" in last["metadata"]

    async def _listed_children(self, obj: Wire) -> AsyncIterator[Wire]:
        """What the object owns, by the database's own word: what is missed here would be deleted later."""
        domain = obj["metadata"].get("domain")
        for kind in self._graph.kinds:
            if domain is not None and self._scopes[kind] is Scope.CLUSTER:
                continue
            token: str | None = None
            while True:
                page = await self._client.list(kind, domain=domain, continue_token=token)
                for found in page.items:
                    if any(owner["uid"] == uid_of(obj) for owner in owners_of(found)):
                        yield found
                token = page.continue_token
                if token is None:
                    break

    async def _let_go(self, obj: Wire, finalizer: str) -> None:
        await self._set_metadata(obj, finalizers=[f for f in obj["metadata"]["finalizers"] if f != finalizer])

    async def _set_metadata(self, obj: Wire, **changed: Any) -> None:
        try:
            await self._client.update({**obj, "metadata": {**obj["metadata"], **changed}})
        except NotFound:
            return


def uid_of(obj: Wire) -> str:
    """An object's uid."""
    return str(obj["metadata"]["uid"])


def owners_of(obj: Wire) -> list[Mapping[str, Any]]:
    """An object's owner references."""
    return obj["metadata"].get("ownerReferences", [])


def request_of_any(obj: Wire) -> Request:
    """The name of an object with its kind."""
    return Request(obj["metadata"].get("domain"), obj["metadata"]["name"], obj["kind"])


def _is_concerned(obj: Wire) -> bool:
    return bool(owners_of(obj)) or "deletionTimestamp" in obj["metadata"]


def _affected(graph: Graph, obj: Wire) -> Iterator[Request]:
    """Whom a change concerns: the object, owners that wait for it to go, and what it owned when it is gone."""
    if graph.find(obj["kind"], uid_of(obj)) is not None:
        if _is_concerned(obj):
            yield request_of_any(obj)
    else:
        for child in graph.owned_by(uid_of(obj)):
            yield request_of_any(child)
    for owner in owners_of(obj):
        there = graph.find(owner["kind"], owner["uid"])
        if there is not None and "deletionTimestamp" in there["metadata"]:
            yield request_of_any(there)


def build(parts: ControllerParts) -> Controller:
    """The garbage collector over all kinds."""
    scopes = {kind.kind: kind.scope for kind in load_kinds()}
    graph = Graph(parts.informers, scopes)
    controller = Controller("garbage", GarbageReconciler(parts.client, graph, scopes))
    for kind in graph.kinds:
        controller.watch(parts.informers.of(kind), lambda obj: _affected(graph, obj))
    return controller
