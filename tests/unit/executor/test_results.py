"""Results: into the row, by reference, or refused."""

import hashlib
import json

import pytest

from aspora.executor.failures import ExecutionFailed
from aspora.executor.results import MAX_INLINE_BYTES, Given, keep_result


class DictBlobs:
    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def put(self, data: bytes) -> str:
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.kept[digest] = data
        return digest

    async def get(self, digest: str) -> bytes:
        return self.kept[digest]


async def test_small_results_stay_and_large_ones_are_put_aside() -> None:
    blobs = DictBlobs()
    small = await keep_result({"message": "ä"}, blobs=blobs, driver="process")
    assert (small.result, small.result_ref, blobs.kept) == ({"message": "ä"}, None, {})
    whole = {"message": "x" * MAX_INLINE_BYTES}
    large = await keep_result(whole, blobs=blobs, driver="process")
    assert large.result is None
    assert large.result_ref is not None
    assert json.loads(blobs.kept[large.result_ref]) == whole
    for given in (small, large):
        assert Given.from_json(json.loads(json.dumps(given.to_json()))) == given


@pytest.mark.parametrize("result", [{"message": "a\x00"}, {"\ud800": 1}, {"data": {"x": float("inf")}}])
async def test_what_cannot_be_stored_is_the_handlers_fault(result: dict[str, object]) -> None:
    with pytest.raises(ExecutionFailed) as caught:
        await keep_result(result, blobs=DictBlobs(), driver="process")
    assert caught.value.reason == "InvalidResult"
