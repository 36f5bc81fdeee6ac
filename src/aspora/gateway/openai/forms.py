"""Answers and errors in OpenAI's form. Pure."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from aspora.meta.errors import (
    BadRequest,
    BudgetExceeded,
    NotFound,
    StatusError,
    Timeout,
    TooManyRequests,
    Unavailable,
)
from aspora.models import failures
from aspora.models.tee import DONE

Wire = dict[str, Any]

_CREATED: Final = 1735689600
"""An alias has no birthday; clients want a number."""


def model_form(alias: str) -> Wire:
    """One model of a list."""
    return {"id": alias, "object": "model", "created": _CREATED, "owned_by": "aspora"}


def list_form(aliases: Iterable[str]) -> Wire:
    """All models."""
    return {"object": "list", "data": [model_form(alias) for alias in aliases]}


def skill_answer(model: str, execution: Mapping[str, Any], *, now: datetime) -> Wire:
    """What a skill said, as an answer of a model; its data and its execution's id beside it."""
    result: Mapping[str, Any] = execution["status"].get("result") or {}
    tokens = (execution["status"].get("inputTokens", 0), execution["status"].get("outputTokens", 0))
    return {
        "id": execution["metadata"]["name"],
        "object": "chat.completion",
        "created": int(now.timestamp()),
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": str(result.get("message") or "")},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)},
        "aspora": {
            "execution": execution["metadata"]["name"],
            "success": bool(result.get("success")),
            "data": result.get("data") or {},
            "costMicroUsd": execution["status"].get("costMicroUsd", 0),
        },
    }


def skill_events(answer: Mapping[str, Any], *, shows_usage: bool) -> list[bytes]:
    """The same as a stream."""
    head = {**{k: answer[k] for k in ("id", "created", "model")}, "object": "chat.completion.chunk"}
    choice = answer["choices"][0]
    chunks = [
        {**head, "choices": [{"index": 0, "delta": choice["message"], "finish_reason": None}]},
        {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "aspora": answer["aspora"]},
    ]
    if shows_usage:
        chunks.append({**head, "choices": [], "usage": answer["usage"]})
    return [*(f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n".encode() for chunk in chunks), DONE]


def as_status(error: failures.ModelFailed) -> StatusError:
    """Why a model has no answer, as the API's errors have it."""
    match error:
        case failures.ModelNotConfigured():
            made: type[StatusError] = NotFound
        case failures.ModelRejected():
            made = BadRequest
        case failures.ModelTimedOut():
            made = Timeout
        case failures.BudgetExceeded():
            made = BudgetExceeded
        case failures.RateLimited():
            made = TooManyRequests
        case _:
            made = Unavailable
    return made(error.message, retry_after_seconds=error.retry_after_seconds)
