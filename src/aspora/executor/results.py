"""What an attempt gave, as one JSON value that a journal can keep, and as the ending that the record gets."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from aspora.executor.failures import ExecutionFailed
from aspora.executor.interface import Blobs
from aspora.records.jsontext import encode, is_storable
from aspora.records.rows import Ending
from aspora.sandbox.interface import FailureReason

MAX_INLINE_BYTES: Final = 64 * 1024
"""Larger inputs and results go to the object store."""

_UNSTORABLE = "the result holds a NUL character or half a surrogate pair, which can't be stored; remove it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the skill gave back.

    Attributes:
        result: None when `result_ref` names the blob that holds it.
        driver: What ran it.
    """

    result: Mapping[str, Any] | None = None
    result_ref: str | None = None
    driver: str = ""

    def to_json(self) -> dict[str, Any]:
        """For the journal."""
        return {"result": self.result, "resultRef": self.result_ref, "driver": self.driver}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Given":
        """From the journal."""
        return cls(result=value["result"], result_ref=value["resultRef"], driver=value["driver"])

    def ending(self, now: datetime, *, stages: Mapping[str, float]) -> Ending:
        """The record's last word: the skill has answered, be it with `success` false."""
        return Ending(
            state="Succeeded",
            finished_at=now,
            result=self.result,
            result_ref=self.result_ref,
            driver=self.driver,
            stages=stages,
        )


async def keep_result(result: Mapping[str, Any], *, blobs: Blobs, driver: str) -> Given:
    """Put a result where it belongs: into the row, or by reference into the object store.

    Raises:
        ExecutionFailed: It can't be stored (`InvalidResult`).
    """
    if not is_storable(result):
        raise ExecutionFailed(FailureReason.INVALID_RESULT, _UNSTORABLE)
    try:
        text = encode(result).encode()
    except ValueError:
        raise ExecutionFailed(
            FailureReason.INVALID_RESULT,
            "the result is not JSON; return texts, numbers, lists and maps with text keys",
        ) from None
    if len(text) <= MAX_INLINE_BYTES:
        return Given(result=result, driver=driver)
    return Given(result_ref=await blobs.put(text), driver=driver)
