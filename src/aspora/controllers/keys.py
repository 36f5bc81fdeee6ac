"""A key that has expired says so, and goes after a while; refusing it from its instant on is not for here."""

from datetime import datetime, timedelta

from aspora.client.interface import Client, Wire
from aspora.controllers.interface import ControllerParts
from aspora.kit.clock import Clock
from aspora.meta.conditions import READY, set_condition
from aspora.meta.errors import NotFound
from aspora.meta.objects import Condition, to_wire
from aspora.reconcile.controller import Controller
from aspora.reconcile.informer import request_of
from aspora.reconcile.interface import Request, Result

KEPT = timedelta(days=30)
"""How long an expired key stays to be seen."""

MAX_WAIT_SECONDS = 86_400.0


class KeyReconciler:
    """Looks at one API key."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    async def reconcile(self, request: Request) -> Result:
        """Wait for its expiry, mark it, wait, delete it."""
        try:
            key = await self._client.get("ApiKey", request.name, domain=request.domain)
        except NotFound:
            return Result()
        text = key["spec"].get("expiresAt")
        if text is None or "deletionTimestamp" in key["metadata"]:
            return Result()
        expired_for = self._clock.now() - datetime.fromisoformat(text)
        if expired_for >= KEPT:
            await self._delete(key)
            return Result()
        await self._report(key, has_expired=expired_for >= timedelta(0))
        left = -expired_for if expired_for < timedelta(0) else KEPT - expired_for
        return Result(min(max(left.total_seconds(), 0.001), MAX_WAIT_SECONDS))

    async def _report(self, key: Wire, *, has_expired: bool) -> None:
        old = dict(key.get("status") or {})
        if not has_expired and not old:
            return  # A key that works needs no word.
        conditions = set_condition(
            [Condition.model_validate(c) for c in old.get("conditions", [])],
            type_=READY,
            status="False" if has_expired else "True",
            reason="Expired" if has_expired else "Valid",
            message=f"refused since {key['spec']['expiresAt']}; make a new key" if has_expired else "",
            now=self._clock.now(),
        )
        generation = key["metadata"]["generation"]
        new = {**old, "observedGeneration": generation, "conditions": [to_wire(c) for c in conditions]}
        if new != old:
            await self._client.update({**key, "status": new}, status=True)

    async def _delete(self, key: Wire) -> None:
        metadata = key["metadata"]
        try:
            await self._client.delete(
                "ApiKey",
                metadata["name"],
                domain=metadata.get("domain"),
                uid=metadata["uid"],
                resource_version=metadata["resourceVersion"],
            )
        except NotFound:
            return


def build(parts: ControllerParts) -> Controller:
    """The controller of expiring keys."""
    controller = Controller("keys", KeyReconciler(parts.client, parts.clock), workers=1)
    controller.watch(parts.informers.of("ApiKey"), lambda obj: [request_of(obj)])
    return controller
