"""Connector calls through the journal: numbering, permission, replay, doubt, repetition."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest

from aspora.executor import effect_calls
from aspora.executor.effect_calls import MAX_RESULT_BYTES, MAX_ROW_BYTES, AttemptEffects, EffectCalls
from aspora.executor.failures import ExecutionFailed
from aspora.executor.interface import Blobs, ConnectorCall, OperationTraits, OutcomeInDoubt, Superseded
from aspora.kit.backoff import Backoff
from aspora.meta.errors import Conflict, Forbidden, Internal, Invalid, StatusError, Timeout, Unavailable
from aspora.records.effects import Doubted, EffectEnd, EffectKey, Go, InDoubt, Recorded
from aspora.records.fence import Fenced
from aspora.records.rows import Claim

TRAITS = {
    "read": OperationTraits(is_write=False),
    "write": OperationTraits(),
    "keyed": OperationTraits(takes_idempotency_key=True),
}


class Book:
    """A journal in memory, with faults to order."""

    def __init__(self) -> None:
        self.begun: list[EffectKey] = []
        self.ends: dict[EffectKey, EffectEnd] = {}
        self.faults: list[Exception] = []
        self.known: Recorded | InDoubt | None = None
        self.doubts: list[int] = []

    async def begin(self, claim: Claim, key: EffectKey, *, is_write: bool, idempotent: bool) -> Recorded | Go | InDoubt:
        if self.faults:
            raise self.faults.pop(0)
        self.begun.append(key)
        return self.known or Go()

    async def finish(self, claim: Claim, key: EffectKey, end: EffectEnd) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.ends[key] = end

    async def doubt(self, claim: Claim, *, up_to_attempt: int) -> list[Doubted]:
        self.doubts.append(up_to_attempt)
        open_keys = [k for k in self.begun if k not in self.ends and k.operation == "write"]
        return [Doubted(k.connector, k.operation, up_to_attempt) for k in open_keys]


class Scripted:
    """A connector whose outcomes are ordered, and a store of blobs."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)
        self.calls: list[ConnectorCall] = []
        self.kept: dict[str, bytes] = {}

    async def traits(self, connector: str, operation: str) -> OperationTraits:
        return TRAITS[operation]

    async def call(self, call: ConnectorCall) -> Any:
        self.calls.append(call)
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if isinstance(outcome, asyncio.Event):
            await outcome.wait()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def put(self, data: bytes) -> str:
        self.kept[f"sha256:{len(self.kept)}"] = data
        return f"sha256:{len(self.kept) - 1}"

    async def get(self, digest: str) -> bytes:
        return self.kept[digest]


MakeClaim = Callable[..., Claim]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effect_calls, "_BACKOFF", Backoff(base_seconds=0, max_seconds=0))


def effects(
    make_claim: MakeClaim, clock: Any, outside: Scripted, book: Book, *, attempt: int = 1, access: str = "write"
) -> AttemptEffects:
    parts = EffectCalls(book, connectors=outside, blobs=cast("Blobs", outside), clock=clock)
    return parts.of(make_claim(attempt=attempt), {"bank": access})


async def test_calls_are_numbered_as_they_are_sent_whatever_is_answered_first(
    make_claim: MakeClaim, clock: Any
) -> None:
    late, book = asyncio.Event(), Book()
    outside = Scripted(late, "second", "other")
    made = effects(make_claim, clock, outside, book)
    arguments: list[Mapping[str, Any]] = [{"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 2}]
    calls = [asyncio.create_task(made.call("bank", "write", a)) for a in arguments]
    await asyncio.wait(calls[1:])
    late.set()
    await asyncio.wait(calls)
    assert [key.occurrence for key in book.begun] == [0, 1, 0]
    assert book.begun[0].arguments_digest == book.begun[1].arguments_digest != book.begun[2].arguments_digest


async def test_what_was_recorded_is_answered_without_a_call(make_claim: MakeClaim, clock: Any) -> None:
    book, outside = Book(), Scripted()
    made = effects(make_claim, clock, outside, book, attempt=2)
    book.known = Recorded(EffectEnd({"n": 1.0}))
    answer = await made.call("bank", "write", {})
    assert (answer.value, answer.replayed) == ({"n": 1.0}, True)
    book.known = Recorded(EffectEnd(failure={"reason": "Conflict", "message": "no cover"}))
    with pytest.raises(Conflict, match="no cover"):
        await made.call("bank", "write", {})
    assert outside.calls == []


@pytest.mark.parametrize("unknown", [OutcomeInDoubt("cut off"), RuntimeError("a defect")])
async def test_a_write_of_unknown_outcome_ends_the_execution_and_is_not_repeated(
    make_claim: MakeClaim, clock: Any, unknown: Exception
) -> None:
    book, outside = Book(), Scripted(unknown)
    made = effects(make_claim, clock, outside, book)
    with pytest.raises(ExecutionFailed, match=r"EffectInDoubt: bank\.write was begun .* it is not repeated"):
        await made.call("bank", "write", {})
    with pytest.raises(ExecutionFailed, match="EffectInDoubt"):
        await made.settle()
    assert len(outside.calls) == 1
    assert book.ends == {}


async def test_with_a_key_it_is_repeated_with_the_same_key_and_then_given_up(make_claim: MakeClaim, clock: Any) -> None:
    book, outside = Book(), Scripted(OutcomeInDoubt("1"), OutcomeInDoubt("2"), "done", *[OutcomeInDoubt("no")] * 9)
    made = effects(make_claim, clock, outside, book)
    assert (await made.call("bank", "keyed", {})).value == "done"
    (first_key,) = {call.idempotency_key for call in outside.calls}
    assert len(outside.calls) == 3
    with pytest.raises(ExecutionFailed) as failed:
        await made.call("bank", "keyed", {})
    assert str(failed.value) == (
        "EffectInDoubt: bank.keyed was sent 4 times with one idempotency key and its outcome is unknown; it took effect"
        " once at most; another run would send another key: look at the other side first, and run the skill again only"
        " if it took no effect"
    )
    assert len(outside.calls) == 7
    keys = {call.idempotency_key for call in outside.calls[3:]}
    assert len(keys) == 1
    assert first_key not in keys
    again = effects(make_claim, clock, outside, Book(), attempt=2)
    outside.outcomes = ["done"]
    await again.call("bank", "keyed", {})
    assert outside.calls[-1].idempotency_key == first_key, "the key must not depend on the attempt"


async def test_a_read_of_unknown_outcome_is_a_failure_for_the_handler(make_claim: MakeClaim, clock: Any) -> None:
    book = Book()
    made = effects(make_claim, clock, Scripted(OutcomeInDoubt("cut off")), book, access="read")
    with pytest.raises(Timeout):
        await made.call("bank", "read", {})
    assert [end.failure is not None for end in book.ends.values()] == [True]
    await made.settle()


async def test_a_refusal_is_kept_and_told(make_claim: MakeClaim, clock: Any) -> None:
    book = Book()
    made = effects(make_claim, clock, Scripted(Conflict("no cover")), book)
    with pytest.raises(Conflict, match="no cover"):
        await made.call("bank", "write", {})
    await made.settle()
    assert [dict(end.failure or {}) for end in book.ends.values()] == [{"reason": "Conflict", "message": "no cover"}]


async def test_a_call_that_is_broken_off_is_in_doubt(make_claim: MakeClaim, clock: Any) -> None:
    book, outside = Book(), Scripted(asyncio.Event())
    made = effects(make_claim, clock, outside, book)
    calling = asyncio.create_task(made.call("bank", "write", {}))
    while not outside.calls:
        await asyncio.sleep(0)
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)
    await made.settle_cancelled()
    assert book.doubts == [1]
    with pytest.raises(ExecutionFailed, match="EffectInDoubt"):
        await made.settle()


async def test_a_rerun_asks_first_what_the_attempts_before_left(make_claim: MakeClaim, clock: Any) -> None:
    book = Book()
    await effects(make_claim, clock, Scripted(), book).settle_earlier()
    assert book.doubts == []
    await effects(make_claim, clock, Scripted(), book, attempt=3).settle_earlier()
    assert book.doubts == [2]
    book.begun.append(EffectKey("bank", "write", "d", 0))
    with pytest.raises(ExecutionFailed, match=r"bank\.write of attempt 2"):
        await effects(make_claim, clock, Scripted(), book, attempt=3).settle_earlier()


async def test_an_unreachable_journal_is_asked_again_and_a_fence_ends_the_attempt(
    make_claim: MakeClaim, clock: Any
) -> None:
    claim, outside = make_claim(), Scripted("done")
    book = Book()
    book.faults = [Unavailable("gone"), Timeout("slow")]
    made = effects(make_claim, clock, outside, book)
    assert (await made.call("bank", "write", {})).value == "done"
    book.faults = [Fenced(claim.id, claim.owner)]
    with pytest.raises(Superseded):
        await made.call("bank", "write", {})
    assert len(outside.calls) == 1


@pytest.mark.parametrize(
    ("connector", "operation", "arguments", "error", "said"),
    [
        ("mint", "read", {}, Forbidden, "add {name: mint} to permissions.apis"),
        ("bank", "write", {}, Forbidden, "say access: write"),
        ("bank", "read", {"x": float("nan")}, Invalid, "can't be sent as JSON"),
    ],
)
async def test_what_may_not_be_called_is_not(
    make_claim: MakeClaim,
    clock: Any,
    connector: str,
    operation: str,
    arguments: Mapping[str, Any],
    error: type[StatusError],
    said: str,
) -> None:
    outside = Scripted()
    with pytest.raises(error, match=said):
        await effects(make_claim, clock, outside, Book(), access="read").call(connector, operation, arguments)
    assert outside.calls == []


async def test_large_results_go_by_reference_and_too_large_ones_are_told_as_made(
    make_claim: MakeClaim, clock: Any
) -> None:
    book, big = Book(), "x" * (MAX_ROW_BYTES + 1)
    outside = Scripted(big, "y" * (MAX_RESULT_BYTES + 1), object())
    made = effects(make_claim, clock, outside, book)
    assert (await made.call("bank", "write", {})).value == big
    assert [end.result_ref for end in book.ends.values()] == ["sha256:0"]
    with pytest.raises(StatusError, match="the call was made, but its answer is over"):
        await made.call("bank", "write", {})
    with pytest.raises(Internal, match="the call was made, but its answer is not JSON"):
        await made.call("bank", "write", {})
    await made.settle()
