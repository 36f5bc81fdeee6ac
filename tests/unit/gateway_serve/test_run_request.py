"""The body of a request to run a skill."""

from typing import Any

import pytest

from aspora.gateway.serve.run_request import idempotency_key, parse_run_request
from aspora.meta.errors import BadRequest, Invalid, TooLarge


def test_defaults_are_filled_in() -> None:
    request = parse_run_request({})
    assert (request.environment, request.revision, request.durable) == ("production", None, False)
    assert (request.input, request.input_text, request.trigger) == ({}, "{}", {"type": "api"})


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({"inputs": {}}, ["inputs"]),
        ({"input": []}, ["input"]),
        ({"input": {"usermessage": "x", "userId": 1}}, ["input.usermessage", "input.userId"]),
        ({"input": {"userMessage": None, "metadata": []}}, ["input.userMessage", "input.metadata"]),
        ({"input": {"userId": "x" * 256}}, ["input.userId"]),
        ({"environment": "test"}, ["environment"]),
        ({"environment": ["production"]}, ["environment"]),
        ({"revision": "", "durable": False}, ["revision", "durable"]),
        ({"durable": 1}, ["durable"]),
        ({"durable": []}, ["durable"]),
        ({"trigger": {"type": "API"}}, ["trigger"]),
        ({"trigger": {"type": "api", "x": 1}}, ["trigger"]),
        ({"trigger": "api"}, ["trigger"]),
    ],
)
def test_every_problem_is_named_by_its_path(body: dict[str, Any], paths: list[str]) -> None:
    with pytest.raises(Invalid) as caught:
        parse_run_request(body)
    assert [d.field for d in caught.value.details] == paths


def test_the_same_request_spelled_otherwise_has_the_same_digest() -> None:
    one = parse_run_request({"input": {"metadata": {"a": 1, "b": 2}}, "environment": "production"})
    other = parse_run_request({"revision": None, "input": {"metadata": {"b": 2, "a": 1}}})
    changed = parse_run_request({"input": {"metadata": {"a": 1, "b": 3}}})
    assert one.digest() == other.digest() != changed.digest()


def test_an_input_over_a_mebibyte_is_too_large() -> None:
    parse_run_request({"input": {"userMessage": "x" * (1024 * 1024 - 20)}})
    with pytest.raises(TooLarge):
        parse_run_request({"input": {"userMessage": "x" * (1024 * 1024)}})


@pytest.mark.parametrize("key", ["", " ", "a b", "a\n", "é", "x" * 256])
def test_a_key_is_printable_and_short(key: str) -> None:
    with pytest.raises(BadRequest):
        idempotency_key([key])


def test_a_good_key_passes() -> None:
    assert idempotency_key([]) is None
    assert idempotency_key(["order-1/2026"]) == "order-1/2026"


def test_of_two_keys_none_is_chosen() -> None:
    with pytest.raises(BadRequest, match="2 Idempotency-Key headers"):
        idempotency_key(["a", "a"])
