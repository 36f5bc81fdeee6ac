"""What every handler of the gateway needs: strict input, JSON output, the one error shape."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from aspora.access.interface import Caller
from aspora.gateway.json_body import parse_json_object
from aspora.meta.errors import BadRequest, MethodNotAllowed, StatusError, Unauthorized
from aspora.meta.names import did_you_mean

OPENAI_PREFIX = "/v1/"
"""Paths in the form of OpenAI's API."""
JSON_TYPE = "application/json"
NDJSON_TYPE = "application/x-ndjson"
MAX_OBJECT_BYTES = 4 * 1024 * 1024
MAX_ARTIFACT_BYTES = 64 * 1024 * 1024

BODY_LIMIT_KEY = "max_body_bytes"
CALLER_KEY = "caller"

_FORBIDDEN_TEXT = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def encode_json(value: object) -> bytes:
    """Compact UTF-8 JSON; NaN is a defect of ours and raises."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def json_response(
    value: object,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    warnings: Iterable[str] = (),
) -> Response:
    """An answer in JSON; each warning becomes one `Warning` header.

    Source: RFC 7234 section 5.5, warn-code 299.
    """
    response = Response(encode_json(value), status_code=status, headers=dict(headers or {}), media_type=JSON_TYPE)
    for warning in warnings:
        response.headers.append("warning", format_warning(warning))
    return response


def format_warning(text: str) -> str:
    """A warning as a header's value: `299 - "text"`, quoted, on one line, in ASCII."""
    line = " ".join(text.split())[:1000].encode("ascii", "replace").decode()
    quoted = line.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{quoted}"'


def error_response(error: StatusError, path: str = "") -> Response:
    """The answer that carries an error: a `Status`, or below `OPENAI_PREFIX` what clients of OpenAI's API look for."""
    headers: dict[str, str] = {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after_seconds)))
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="aspora"'
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(error.allowed)  # Wanted with each 405, be it empty: RFC 9110 section 15.5.6.
    body = _openai_error(error) if path.startswith(OPENAI_PREFIX) else error.to_status()
    return json_response(body, status=error.code, headers=headers)


def _openai_error(error: StatusError) -> dict[str, Any]:
    kind = "invalid_request_error" if error.code < 500 else "api_error"
    return {"error": {"message": error.message, "type": kind, "code": error.reason, "param": None}}


async def read_json_object(request: Request) -> dict[str, Any]:
    """The JSON object in the body.

    Raises:
        BadRequest: Not a JSON object, or sent as another content type.
        TooLarge: Over the cap.
    """
    sent_as = media_type(request)
    if sent_as and sent_as != JSON_TYPE and not sent_as.endswith("+json"):
        raise BadRequest(f"content type {sent_as[:80]!r} is not understood here; send {JSON_TYPE}")
    return parse_json_object(await request.body())


def media_type(request: Request) -> str:
    """The body's content type without parameters, lower case; "" when not given."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def allow_body(scope: Scope, max_bytes: int) -> None:
    """Raise this request's body cap; call it before the first byte is read."""
    scope.setdefault("state", {})[BODY_LIMIT_KEY] = max_bytes


def caller_of(request: Request) -> Caller:
    """Who sends the request.

    Raises:
        Unauthorized: The route lets anonymous callers pass, this handler doesn't.
    """
    caller = request.scope.get("state", {}).get(CALLER_KEY)
    if caller is None:
        raise Unauthorized("this needs an API key; send it as 'Authorization: Bearer aspora_…'")
    return cast("Caller", caller)


def query_of(request: Request, known: Iterable[str]) -> dict[str, str]:
    """The query parameters, each known, given once and printable.

    Raises:
        BadRequest: Names the parameter and the nearest known one.
    """
    raw = cast("bytes", request.scope.get("query_string", b""))
    if not raw:
        return {}
    found: dict[str, str] = {}
    names = list(known)
    pairs = parse_qsl(raw.decode("latin-1"), keep_blank_values=True, encoding="utf-8", errors="surrogateescape")
    for name, value in pairs:
        if name not in names:
            raise BadRequest(f"unknown query parameter {printable(name)!r}{did_you_mean(name, names)}")
        if name in found:
            raise BadRequest(f"query parameter {name!r} is given twice; give it once")
        if _FORBIDDEN_TEXT.search(value):
            raise BadRequest(
                f"query parameter {name!r} holds a control character or is not UTF-8; "
                "send printable UTF-8, percent-encoded"
            )
        found[name] = value
    return found


def printable(text: str, *, max_length: int = 80) -> str:
    """Text from a stranger, fit for a message: cut, and nothing in it but printable characters."""
    return "".join(c if c.isprintable() else "?" for c in text[:max_length])


def flag_in(query: Mapping[str, str], name: str) -> bool:
    """A boolean query parameter: absent, `true` or `false`.

    Raises:
        BadRequest: Another value.
    """
    value = query.get(name, "false")
    if value not in {"true", "false"}:
        raise BadRequest(f"query parameter {name!r} is {printable(value)!r}; write true or false")
    return value == "true"


def integer_in(query: Mapping[str, str], name: str, *, default: int, minimum: int, maximum: int) -> int:
    """A whole number among the query parameters.

    Raises:
        BadRequest: Not a number, or out of range.
    """
    value = query.get(name)
    if value is None:
        return default
    if not (value.isascii() and value.isdecimal() and len(value) < 10 and minimum <= int(value) <= maximum):
        raise BadRequest(
            f"query parameter {name!r} is {printable(value)!r}; write a whole number from {minimum} to {maximum}"
        )
    return int(value)


def wants(request: Request) -> str:
    """The form asked for by `Accept: application/json;as=Table`: `Table`, `Description`, or "" for plain JSON.

    Raises:
        BadRequest: A form that doesn't exist.
    """
    accept = request.headers.get("accept", "")
    for offer in accept.split(","):
        parts = [part.strip() for part in offer.split(";")]
        for part in parts[1:]:
            name, _, form = part.partition("=")
            if name == "as":
                if form not in {"Table", "Description"}:
                    raise BadRequest(f"form {printable(form)!r} in Accept is not known; known: Description, Table")
                return form
    return ""
