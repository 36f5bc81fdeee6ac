"""Secrets say whether their key is here: looked at at each start, and again until those without one are healed.

A start may mark a secret as good or bad; afterwards a gateway only heals, so that one with the key and one without it
never write against each other.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from aspora.apis.secret import KIND_NAME
from aspora.gateway.objects.bootstrap import INTERNAL_CALLER
from aspora.gateway.objects.resources import Resources, Target
from aspora.gateway.objects.writes import ObjectWrites
from aspora.kit.clock import Clock
from aspora.kit.supervise import wait_for_event
from aspora.meta.conditions import READY, find_condition, set_condition
from aspora.meta.errors import StatusError
from aspora.meta.objects import Condition, to_wire
from aspora.sealing.check import KeyState
from aspora.sealing.cipher import SealBroken, sealed_with
from aspora.store.interface import Store, Wire
from aspora.telemetry.logs import get_logger

log = get_logger(__name__)
_PAGE = 500
_HEAL_SECONDS: Final = 5.0
"""Between looks while a secret is known that can't be read."""

_LOOK_SECONDS: Final = 60.0
"""Between looks while none is: another gateway may have marked one at its start."""


class SecretMarks:
    """Writes the condition `Ready` of Secrets."""

    def __init__(self, *, store: Store, writes: ObjectWrites, resources: Resources, clock: Clock) -> None:
        self._store = store
        self._writes = writes
        self._kind = next((kind for kind in resources.kinds() if kind.kind == KIND_NAME), None)
        self._clock = clock
        self._is_any_bad = False

    async def mark(self, state: KeyState) -> int:
        """One round over all secrets; how many changed. A refusal of one is logged, never the end of a start."""
        return await self._round(state, heal_only=False)

    async def run(
        self, state: Callable[[], KeyState], stop: asyncio.Event, *, every_seconds: float | None = None
    ) -> None:
        """Heal secrets whose key has come back, or that were set anew, until told to stop.

        Args:
            state: How it stands with the key now.
            every_seconds: Between looks; None for the usual time.
        """
        while not await wait_for_event(stop, every_seconds or (_HEAL_SECONDS if self._is_any_bad else _LOOK_SECONDS)):
            present = state()
            if not present.fault:
                await self._round(present, heal_only=True)

    async def _round(self, state: KeyState, *, heal_only: bool) -> int:
        if self._kind is None:
            return 0
        changed, is_any_bad, token = 0, False, None
        while True:
            page = await self._store.list(KIND_NAME, limit=_PAGE, continue_token=token)
            for obj in page.items:
                reason, message = _problem(obj, state)
                is_any_bad = is_any_bad or bool(reason) or not _is_shown_good(obj)
                if not (heal_only and reason):
                    changed += await self._mark(obj, reason, message)
            token = page.continue_token
            if token is None:
                self._is_any_bad = is_any_bad
                return changed

    async def _mark(self, obj: Wire, reason: str, message: str) -> bool:
        status: dict[str, Any] = dict(obj.get("status") or {})
        conditions = _conditions(obj)
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


def _conditions(obj: Wire) -> list[Condition]:
    return [Condition.model_validate(c, by_alias=True) for c in (obj.get("status") or {}).get("conditions", [])]


def _is_shown_good(obj: Wire) -> bool:
    present = find_condition(_conditions(obj), READY)
    return present is None or present.status == "True"


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
