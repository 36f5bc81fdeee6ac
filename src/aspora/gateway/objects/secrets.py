"""Secrets say whether their key is here: looked at once at each start, written only when that has changed."""

from typing import Any

from aspora.apis.secret import KIND_NAME
from aspora.gateway.objects.bootstrap import INTERNAL_CALLER
from aspora.gateway.objects.resources import Resources, Target
from aspora.gateway.objects.writes import ObjectWrites
from aspora.kit.clock import Clock
from aspora.meta.conditions import READY, find_condition, set_condition
from aspora.meta.errors import StatusError
from aspora.meta.objects import Condition, to_wire
from aspora.sealing.check import KeyState
from aspora.sealing.cipher import SealBroken, sealed_with
from aspora.store.interface import Store, Wire
from aspora.telemetry.logs import get_logger

log = get_logger(__name__)
_PAGE = 500


class SecretMarks:
    """Writes the condition `Ready` of Secrets."""

    def __init__(self, *, store: Store, writes: ObjectWrites, resources: Resources, clock: Clock) -> None:
        self._store = store
        self._writes = writes
        self._kind = next((kind for kind in resources.kinds() if kind.kind == KIND_NAME), None)
        self._clock = clock

    async def mark(self, state: KeyState) -> int:
        """One round over all secrets; how many changed. A refusal of one is logged, never the end of a start."""
        if self._kind is None:
            return 0
        changed, token = 0, None
        while True:
            page = await self._store.list(KIND_NAME, limit=_PAGE, continue_token=token)
            for obj in page.items:
                changed += await self._mark(obj, state)
            token = page.continue_token
            if token is None:
                return changed

    async def _mark(self, obj: Wire, state: KeyState) -> bool:
        status: dict[str, Any] = dict(obj.get("status") or {})
        conditions = [Condition.model_validate(c, by_alias=True) for c in status.get("conditions", [])]
        reason, message = _problem(obj, state)
        present = find_condition(conditions, READY)
        if present is None and not reason:
            return False
        if present is not None and (present.reason, present.message) == (reason or "Sealed", message):
            return False
        conditions = set_condition(
            conditions,
            type_=READY,
            status="False" if reason else "True",
            reason=reason or "Sealed",
            message=message,
            now=self._clock.now(),
        )
        new = {**obj, "status": {**status, "conditions": [to_wire(c) for c in conditions]}}
        metadata = obj["metadata"]
        assert self._kind is not None
        target = Target(self._kind, metadata["domain"], metadata["name"], is_status=True)
        try:
            await self._writes.update_status(INTERNAL_CALLER, target, new, dry_run=False)
        except StatusError as e:
            log.warning("secret could not be marked", name=metadata["name"], domain=metadata["domain"], why=e.message)
            return False
        return True


def _problem(obj: Wire, state: KeyState) -> tuple[str, str]:
    """Why the values can't be read, and what would do; two empty texts when they can."""
    if state.fault:
        return state.fault, state.message
    try:
        key_id = sealed_with(obj["spec"].get("sealed", ""))
    except SealBroken as e:
        return "SealBroken", e.message
    if key_id != state.wanted_id:
        return "SecretKeyWrong", f"sealed with key {key_id!r}, and the key here is {state.wanted_id!r}; set it anew"
    return "", ""
