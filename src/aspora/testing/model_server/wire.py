"""OpenAI's wire format: completions, their chunks, embeddings, errors. Pure functions.

Source: OpenAI API reference, chat completions and embeddings; `usage.cost` and `cache_write_tokens` as OpenRouter does.
"""

import base64
import hashlib
import json
import math
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from aspora.testing.model_server.script import Chosen, ScriptedUsage

FINGERPRINT = "scripted"
CREATED = 0
"""`created` of every answer: the same request gets the same bytes."""


def count_tokens(text: str) -> int:
    """One token for each four bytes, rounded up: a rule, no tokenizer."""
    return -(-len(text.encode()) // 4)


def usage_of(chosen: Chosen, body: Mapping[str, Any]) -> dict[str, Any]:
    """The usage object: as scripted, else counted."""
    scripted = chosen.rule.usage
    if scripted is None:
        said = chosen.text + "".join(name + arguments for name, arguments in chosen.tool_calls)
        prompt = json.dumps([body.get("messages", []), body.get("tools", [])], ensure_ascii=False)
        scripted = ScriptedUsage(prompt_tokens=count_tokens(prompt), completion_tokens=count_tokens(said))
    usage: dict[str, Any] = {
        "prompt_tokens": scripted.prompt_tokens,
        "completion_tokens": scripted.completion_tokens,
        "total_tokens": scripted.prompt_tokens + scripted.completion_tokens,
        "prompt_tokens_details": {
            "cached_tokens": scripted.cached_tokens,
            "cache_write_tokens": scripted.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": scripted.reasoning_tokens},
    }
    if scripted.cost is not None:
        usage["cost"] = _number(scripted.cost)
    return usage


def _number(cost: float | str) -> float | str:
    """A cost written as text goes out as a number when it is one: `"0.000123"` keeps its digits in the script."""
    try:
        return float(cost)
    except ValueError:
        return cost


def _finish_reason(chosen: Chosen) -> str:
    return chosen.rule.finish_reason or ("tool_calls" if chosen.tool_calls else "stop")


def _head(chosen: Chosen, body: Mapping[str, Any], *, call: int, object_: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-scripted-{call}",
        "object": object_,
        "created": CREATED,
        "model": chosen.rule.model_echo or str(body.get("model", "")),
        "system_fingerprint": FINGERPRINT,
    }


def completion(chosen: Chosen, body: Mapping[str, Any], *, call: int) -> dict[str, Any]:
    """A whole answer."""
    message: dict[str, Any] = {"role": "assistant", "content": chosen.text or None, "refusal": None}
    if chosen.tool_calls:
        message["tool_calls"] = [
            {"id": f"call_{call}_{i}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for i, (name, arguments) in enumerate(chosen.tool_calls)
        ]
    choice = {"index": 0, "message": message, "finish_reason": _finish_reason(chosen), "logprobs": None}
    return {
        **_head(chosen, body, call=call, object_="chat.completion"),
        "choices": [choice],
        "usage": usage_of(chosen, body),
    }


def _deltas(chosen: Chosen, *, call: int) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": ""}
    for piece in _pieces(chosen.text):
        yield {"content": piece}
    for i, (name, arguments) in enumerate(chosen.tool_calls):
        function = {"name": name, "arguments": ""}
        yield {"tool_calls": [{"index": i, "id": f"call_{call}_{i}", "type": "function", "function": function}]}
        for piece in _pieces(arguments):
            yield {"tool_calls": [{"index": i, "function": {"arguments": piece}}]}


def _pieces(text: str, *, count: int = 4) -> Iterator[str]:
    """At most `count` + 1 pieces, none empty."""
    size = max(1, len(text) // count)
    return (text[i : i + size] for i in range(0, len(text), size))


def chunks(chosen: Chosen, body: Mapping[str, Any], *, call: int) -> list[dict[str, Any]]:
    """An answer as stream chunks; the last one has no choices and carries the usage."""
    head = _head(chosen, body, call=call, object_="chat.completion.chunk")
    sent = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for delta in _deltas(chosen, call=call)
    ]
    sent.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": _finish_reason(chosen)}]})
    sent.append({**head, "choices": [], "usage": usage_of(chosen, body)})
    return sent


def error_body(message: str, *, type_: str, code: str | int | None = None) -> dict[str, Any]:
    """An error in OpenAI's shape."""
    return {"error": {"message": message, "type": type_, "param": None, "code": code}}


def embed(text: str, *, dimensions: int) -> list[float]:
    """A unit vector that depends on the text's words alone: each word adds ±1 at a place its hash names."""
    vector = [0.0] * dimensions
    for word in text.casefold().split() or [""]:
        digest = hashlib.sha256(word.encode()).digest()
        vector[int.from_bytes(digest[:4]) % dimensions] += 1.0 if digest[4] & 1 else -1.0
    length = math.sqrt(math.fsum(x * x for x in vector))
    if length == 0.0:
        vector[0] = length = 1.0
    return [x / length for x in vector]


def embeddings(body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to an embeddings request; `input` is a text or a list of texts."""
    raw = body.get("input", "")
    texts = [str(t) for t in raw] if isinstance(raw, list) else [str(raw)]
    dimensions = int(body.get("dimensions") or 64)
    as_base64 = body.get("encoding_format") == "base64"
    data: list[dict[str, Any]] = []
    for i, text in enumerate(texts):
        vector = embed(text, dimensions=dimensions)
        packed = base64.b64encode(struct.pack(f"<{dimensions}f", *vector)).decode() if as_base64 else vector
        data.append({"object": "embedding", "index": i, "embedding": packed})
    tokens = sum(count_tokens(t) for t in texts)
    return {
        "object": "list",
        "data": data,
        "model": str(body.get("model", "")),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
