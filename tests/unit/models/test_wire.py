"""Reading answers and event streams, however they are cut; refusing what is no answer."""

import itertools
import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aspora.apis.model import ModelSpec
from aspora.apis.provider import ProviderSpec
from aspora.models.catalog import Endpoint
from aspora.models.interface import ModelRequest, TokenUsage, ToolCall
from aspora.models.question import prepare, question_of
from aspora.models.wire import ErrorInBody, Malformed, StreamReader, read_completion, read_usage
from aspora.testing.model_server import parse_script
from aspora.testing.model_server import wire as scripted
from aspora.testing.model_server.script import choose

ENDPOINT = Endpoint(
    alias="m",
    model=ModelSpec(provider="p", upstream_id="up/m", tier="small", context_tokens=1000),
    provider_name="p",
    provider=ProviderSpec(base_url="http://x/v1", max_tokens_field="max_completion_tokens"),
    base_url="http://x/v1",
    upstream_id="up/m",
    api_key="secret-key",
)


def stream_of(rule: dict[str, Any], *, newline: str = "\n") -> bytes:
    chosen = choose(parse_script({"rules": [rule]}).rules[0], {})
    lines = [f"data: {json.dumps(c)}{newline}{newline}" for c in scripted.chunks(chosen, {"model": "m"}, call=1)]
    return (": a comment" + newline * 2 + "".join(lines) + f"data: [DONE]{newline}{newline}").encode()


def read_all(pieces: list[bytes]) -> tuple[str, Any]:
    reader = StreamReader()
    texts = [text for piece in pieces for text in reader.feed(piece)]
    return "".join(texts), reader.finish()


@given(cuts=st.lists(st.integers(0, 2000), max_size=12), newline=st.sampled_from(["\n", "\r\n"]))
def test_a_stream_reads_the_same_wherever_it_is_cut(cuts: list[int], newline: str) -> None:
    whole = stream_of(
        {"answer": "grüße aus 東京", "tool_calls": [{"name": "read", "arguments": {"p": "é"}}]}, newline=newline
    )
    edges = [0, *sorted(min(c, len(whole)) for c in cuts), len(whole)]
    text, answer = read_all([whole[a:b] for a, b in itertools.pairwise(edges)])
    assert text == answer.text == "grüße aus 東京"
    assert answer.tool_calls == (ToolCall(id="call_1_0", name="read", arguments='{"p": "é"}'),)
    assert answer.finish_reason == "tool_calls"
    assert answer.raw_usage is not None


@given(st.integers(0, 3))
def test_a_stream_that_ends_early_is_no_answer(kept: int) -> None:
    whole = stream_of({"answer": "word " * 4}).split(b"\n\n")
    with pytest.raises(Malformed, match="ended before"):
        read_all([b"\n\n".join(whole[: kept + 1]) + b"\n\n"])


@pytest.mark.parametrize("junk", [b"<html>\n", b"data: {\n", b'data: {"choices": 3}\n', b"data: 7\n", b"\xff\xfe\n"])
def test_junk_in_a_stream_is_refused(junk: bytes) -> None:
    with pytest.raises(Malformed):
        list(StreamReader().feed(junk))


def test_an_error_in_the_stream_is_an_error() -> None:
    reader = StreamReader()
    list(reader.feed(b'data: {"choices": [{"delta": {"content": "so"}}]}\n\n'))
    with pytest.raises(ErrorInBody) as caught:
        list(reader.feed(b'data: {"error": {"code": 429, "message": "slow down"}}\n\n'))
    assert (caught.value.status, caught.value.after_output) == (429, True)


def test_an_error_in_a_whole_answer_is_an_error() -> None:
    with pytest.raises(ErrorInBody) as caught:
        read_completion(b'{"error": {"code": "model_down", "message": "gone"}}')
    assert (caught.value.status, caught.value.text, caught.value.after_output) == (502, "gone", False)


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"{}", b'{"choices": []}', b'{"choices": [{}]}', b'{"choices": "none"}', b"[" * 100_000]
)
def test_a_body_that_is_no_completion_is_refused(raw: bytes) -> None:
    with pytest.raises(Malformed):
        read_completion(raw)


def test_reads_arguments_sent_as_an_object_and_content_in_parts() -> None:
    message = {
        "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}],
    }
    answer = read_completion(json.dumps({"choices": [{"message": message}]}).encode())
    assert answer.text == "ab"
    assert answer.tool_calls == (ToolCall(id="", name="f", arguments='{"x": 1}'),)


def test_costs_stay_decimal() -> None:
    raw = b'{"choices": [{"message": {"content": "a"}}], "usage": {"cost": 0.1, "x": NaN}}'
    usage = read_completion(raw).raw_usage
    assert usage is not None
    assert usage["cost"] == Decimal("0.1")
    assert usage["x"].is_nan()


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        {"prompt_tokens": 1},
        {"prompt_tokens": -1, "completion_tokens": 1},
        {"prompt_tokens": True, "completion_tokens": 1},
        {"prompt_tokens": "7", "completion_tokens": 1},
    ],
)
def test_unusable_token_counts_are_none(usage: Any) -> None:
    assert read_usage(usage) is None


def test_parts_never_exceed_their_whole() -> None:
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 2,
        "prompt_tokens_details": {"cached_tokens": 99, "cache_write_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 7},
    }
    assert read_usage(usage) == TokenUsage(
        input_tokens=10, output_tokens=2, cached_input_tokens=10, cache_write_tokens=0, reasoning_tokens=2
    )


def test_the_body_carries_the_cap_under_the_provider_s_name() -> None:
    request = ModelRequest(models=("m",), messages=({"role": "user", "content": "ü"},), temperature_milli=700)
    question = question_of(replace(request, max_output_tokens=99), streams=True)
    raw = prepare(question, ENDPOINT, number=1).body
    body = json.loads(raw)
    assert "ü".encode() in raw
    assert (body["model"], body["max_completion_tokens"], body["temperature"]) == ("up/m", 99, 0.7)
    assert body["stream_options"] == {"include_usage": True}
    assert "tools" not in body


def test_a_key_never_shows_in_a_repr() -> None:
    assert "secret-key" not in repr(ENDPOINT)
