"""Connector calls through the effect journal: intent first, then the call, then its end.

Calls are numbered in the order in which the handler sends them, for each operation and its arguments apart. So a rerun
that asks the same questions finds the answers of the run before, whatever else it does at the same time.
"""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from aspora.executor.failures import ExecutionFailed
from aspora.executor.interface import Blobs, ConnectorCall, ConnectorCaller, OutcomeInDoubt, Superseded
from aspora.executor.persisting import persist
from aspora.kit.backoff import Backoff
from aspora.kit.clock import Clock
from aspora.kit.supervise import uninterrupted
from aspora.meta.errors import Forbidden, Internal, Invalid, StatusError, Timeout, from_status
from aspora.records.effects import Doubted, EffectEnd, EffectKey, Go, InDoubt, Recorded, arguments_digest
from aspora.records.jsontext import encode_leniently
from aspora.records.rows import Claim
from aspora.telemetry.logs import get_logger

T = TypeVar("T")
IN_DOUBT: Final = "EffectInDoubt"
MAX_ROW_BYTES: Final = 64 * 1024
"""Larger results go to the object store, and the journal names them."""

MAX_RESULT_BYTES: Final = 4 * 1024 * 1024
_MARK_SECONDS: Final = 2.0
_TRIES_WITH_KEY: Final = 4
_BACKOFF: Final = Backoff(base_seconds=0.05, max_seconds=2.0)
_log = get_logger(__name__)


class EffectBook(Protocol):
    """The journal, as `aspora.records.effects.Effects` keeps it."""

    async def begin(self, claim: Claim, key: EffectKey, *, is_write: bool, idempotent: bool) -> Recorded | Go | InDoubt:
        """Keep the intent, or say what is known from before."""
        ...

    async def finish(self, claim: Claim, key: EffectKey, end: EffectEnd) -> None:
        """Keep the end of a call."""
        ...

    async def doubt(self, claim: Claim, *, up_to_attempt: int) -> list[Doubted]:
        """Mark and list the writes that are in doubt."""
        ...


class EffectCalls:
    """Makes connector calls for all attempts of a process."""

    def __init__(self, book: EffectBook, *, connectors: ConnectorCaller, blobs: Blobs, clock: Clock) -> None:
        self.book = book
        self.connectors = connectors
        self.blobs = blobs
        self.clock = clock

    def of(self, claim: Claim, access: Mapping[str, str]) -> "AttemptEffects":
        """Those of one attempt.

        Args:
            access: `permissions.apis` of the skill: `read` or `write` by connector name.
        """
        return AttemptEffects(self, claim, access)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call gave; `replayed` when the journal gave it."""

    value: Any
    replayed: bool


class AttemptEffects:
    """The connector calls of one attempt; made by `EffectCalls.of`."""

    def __init__(self, parts: EffectCalls, claim: Claim, access: Mapping[str, str]) -> None:
        self._parts = parts
        self._claim = claim
        self._access = access
        self._seen: Counter[tuple[str, str, str]] = Counter()
        self._broken_off = False

    async def settle_earlier(self) -> None:
        """Before a rerun: a write that an earlier attempt left in doubt ends the execution.

        Raises:
            ExecutionFailed: There is one (`EffectInDoubt`).
            Superseded: The attempt is fenced.
        """
        if self._claim.attempt > 1:
            earlier = self._claim.attempt - 1
            refuse_doubt(await self._persist(lambda: self._parts.book.doubt(self._claim, up_to_attempt=earlier)))

    async def settle(self) -> None:
        """After the handler's end: a call that was broken off may have had its effect.

        Raises:
            ExecutionFailed: One is in doubt (`EffectInDoubt`).
            Superseded: The attempt is fenced.
        """
        if self._broken_off:
            attempt = self._claim.attempt
            refuse_doubt(await self._persist(lambda: self._parts.book.doubt(self._claim, up_to_attempt=attempt)))

    async def settle_cancelled(self) -> None:
        """As `settle` when the attempt itself was cancelled: what can be marked in a moment is marked, no more."""
        try:
            async with asyncio.timeout(_MARK_SECONDS):
                await self.settle()
        except (ExecutionFailed, Superseded, StatusError, TimeoutError) as error:
            _log.warning("attempt cancelled with effects under way", execution=self._claim.id, cause=str(error))

    async def call(self, connector: str, operation: str, arguments: Mapping[str, Any]) -> Answer:
        """Make one call, or answer it from the journal.

        Raises:
            StatusError: For the handler: it is not permitted, not known, or the connector refused it.
            ExecutionFailed: It is a write in doubt (`EffectInDoubt`): the execution ends here.
            Superseded: The attempt is fenced.
        """
        key = self._number(connector, operation, arguments)  # before anything is awaited: calls come in their order
        if connector not in self._access:
            raise Forbidden(
                f"this skill may not call apis.{connector[:127]}; add {{name: {connector[:127]}}} to permissions.apis"
                " in aspora.config.yaml"
            )
        traits = await self._parts.connectors.traits(connector, operation)
        if traits.is_write and self._access[connector] != "write":
            raise Forbidden(
                f"{key} may change something, and this skill has access 'read' to {connector!r}; say access: write in"
                " permissions.apis of aspora.config.yaml"
            )
        idempotent = not traits.is_write or traits.takes_idempotency_key
        found = await self._persist(
            lambda: self._parts.book.begin(self._claim, key, is_write=traits.is_write, idempotent=idempotent)
        )
        if isinstance(found, Recorded):
            return Answer(await self._read(found.end), replayed=True)
        if isinstance(found, InDoubt):
            raise in_doubt(str(key))
        call = ConnectorCall(
            connector=connector,
            operation=operation,
            arguments=arguments,
            domain=self._claim.domain,
            skill=self._claim.skill,
            idempotency_key=self._key_for_others(key) if traits.takes_idempotency_key else None,
        )
        try:
            end = await self._make(call, is_write=traits.is_write)
            await self._finish(key, end)
        except BaseException:
            # Also when the handler ended first, which cancels this.
            self._broken_off = self._broken_off or not idempotent
            raise
        return Answer(await self._read(end), replayed=False)

    def _number(self, connector: str, operation: str, arguments: Mapping[str, Any]) -> EffectKey:
        try:
            digest = arguments_digest(arguments)
        except ValueError:
            raise Invalid(
                f"the arguments of {connector}.{operation} can't be sent as JSON; "
                "use texts, numbers, lists and maps with text keys"
            ) from None
        occurrence = self._seen[connector, operation, digest]
        self._seen[connector, operation, digest] += 1
        return EffectKey(connector, operation, digest, occurrence)

    def _key_for_others(self, key: EffectKey) -> str:
        parts = [self._claim.id, key.connector, key.operation, key.arguments_digest, str(key.occurrence)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    async def _make(self, call: ConnectorCall, *, is_write: bool) -> EffectEnd:
        """The call itself; with an idempotency key it is repeated while its outcome is unknown."""
        tries = _TRIES_WITH_KEY if call.idempotency_key is not None else 1
        for attempt in range(tries):
            try:
                return await self._keep(await self._parts.connectors.call(call))
            except StatusError as error:
                return EffectEnd(failure={"reason": error.reason, "message": error.message})
            except OutcomeInDoubt as error:
                _log.warning("outcome of a call unknown", execution=self._claim.id, call=_name(call), cause=str(error))
            except Exception as error:  # noqa: BLE001 - a defect of the connector must not look like a refusal
                _log.error("connector failed", error=error, execution=self._claim.id, call=_name(call))
            if attempt + 1 < tries:
                await asyncio.sleep(_BACKOFF.delay_seconds(attempt))
        if is_write and call.idempotency_key is not None:
            raise repeated_in_vain(_name(call), tries=tries)
        if is_write:
            raise in_doubt(_name(call))
        return EffectEnd(
            failure={"reason": Timeout.reason, "message": f"{_name(call)} gave no answer that can be used"}
        )

    async def _keep(self, value: Any) -> EffectEnd:
        """The result where it belongs. The call is made: whatever happens here is told with that."""
        try:
            text = encode_leniently(value)
        except (TypeError, ValueError) as error:
            return _made_but(Internal.reason, f"its answer is not JSON: {error}")
        data = text.encode()
        if len(data) <= MAX_ROW_BYTES:
            return EffectEnd(json.loads(text))
        if len(data) > MAX_RESULT_BYTES:
            return _made_but("TooLarge", f"its answer is over {MAX_RESULT_BYTES} bytes; ask for less")
        try:
            return EffectEnd(result_ref=await uninterrupted(self._parts.blobs.put(data)))
        except StatusError as error:
            return _made_but(error.reason, f"its answer could not be kept: {error.message}")

    async def _finish(self, key: EffectKey, end: EffectEnd) -> None:
        await self._persist(lambda: uninterrupted(self._parts.book.finish(self._claim, key, end)))

    async def _read(self, end: EffectEnd) -> Any:
        if end.failure is not None:
            raise from_status(end.failure)
        if end.result_ref is not None:
            return json.loads(await self._parts.blobs.get(end.result_ref))
        return end.result

    async def _persist(self, write: Callable[[], Awaitable[T]]) -> T:
        return await persist(write, execution=self._claim.id, what="effect journal")


def in_doubt(what: str) -> ExecutionFailed:
    """The end of an execution with a write of which nobody knows."""
    return ExecutionFailed(
        IN_DOUBT,
        f"{what} was begun and its outcome is unknown; it is not repeated; look at the other side whether it took"
        " effect, and run the skill again if it did not",
    )


def repeated_in_vain(what: str, *, tries: int) -> ExecutionFailed:
    """The end of an execution with a write that went out under its idempotency key and was never answered."""
    return ExecutionFailed(
        IN_DOUBT,
        f"{what} was sent {tries} times with one idempotency key and its outcome is unknown; it took effect once at"
        " most; another run would send another key: look at the other side first, and run the skill again only if it"
        " took no effect",
    )


def refuse_doubt(doubted: Sequence[Doubted]) -> None:
    """Raise when anything is in doubt."""
    if doubted:
        first = doubted[0]
        raise in_doubt(f"{first.connector}.{first.operation} of attempt {first.attempt}")


def _made_but(reason: str, message: str) -> EffectEnd:
    return EffectEnd(failure={"reason": reason, "message": f"the call was made, but {message}"})


def _name(call: ConnectorCall) -> str:
    return f"{call.connector}.{call.operation}"
