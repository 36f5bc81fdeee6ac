"""What a route takes and gives, said beside the route, so that `/openapi.json` can publish it.

Source: OpenAPI Specification 3.1, whose schemas are JSON Schema 2020-12.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from aspora.gateway.framing import SSE_TYPE
from aspora.gateway.http import JSON_TYPE, NDJSON_TYPE
from aspora.meta.errors import StatusError

Schema = Mapping[str, Any]


def reference(name: str) -> Schema:
    """A schema that stands elsewhere in the document, by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


QUERY_TEXT: Schema = {"type": "string", "pattern": "^[^\\x00-\\x08\\x0b-\\x1f\\x7f]*$"}
"""What any query parameter may hold."""

WATCH_QUERY: Mapping[str, Schema] = {
    "watch": {
        "type": "boolean",
        "default": False,
        "description": f"Changes as they happen: lines of JSON, or with `Accept: {SSE_TYPE}` server-sent events.",
    },
    "resourceVersion": {
        **QUERY_TEXT,
        "description": "With `watch` alone: where to begin; all that there is comes first when absent.",
    },
    "timeoutSeconds": {
        "type": "integer",
        "minimum": 1,
        "maximum": 3600,
        "description": "With `watch` alone: when to end.",
    },
}
"""What every list takes that can be watched."""


def watch_content() -> dict[str, Any]:
    """What a watch is answered with: one event a line, or server-sent events."""
    stream = {"type": "string", "description": "id: resourceVersion, event: the type, data: the object as JSON."}
    return {NDJSON_TYPE: {"schema": reference("WatchEvent")}, SSE_TYPE: {"schema": stream}}


@dataclass(frozen=True, slots=True)
class Answer:
    """One way in which a request is answered.

    Attributes:
        description: When.
        schema: Name of the body's schema; for lines of JSON, of one line's; "" for bytes and text.
        may_stream: With `watch=true` it is a stream of events instead.
    """

    description: str
    schema: str
    media_type: str = JSON_TYPE
    may_stream: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What a route takes and gives besides its path.

    Attributes:
        answers: By HTTP status.
        query: Schema of each query parameter.
        headers: Schema of each request header.
        body: Name of the schema of the JSON body, "" for bytes; None when there is none.
        body_type: Media type of the body.
        errors: Those that not every route has.
        schemas: Those named above and those they refer to, by name.
    """

    answers: Mapping[int, Answer]
    query: Mapping[str, Schema] = field(default_factory=dict[str, Schema])
    headers: Mapping[str, Schema] = field(default_factory=dict[str, Schema])
    body: str | None = None
    body_type: str = JSON_TYPE
    errors: Sequence[type[StatusError]] = ()
    schemas: Mapping[str, Schema] = field(default_factory=dict[str, Schema])


class ContractRoute(Route):
    """A route that says what it takes and gives."""

    def __init__(
        self,
        path: str,
        endpoint: Callable[[Request], Awaitable[Response]],
        contract: Contract,
        *,
        methods: Sequence[str] = ("GET",),
    ) -> None:
        super().__init__(path, endpoint, methods=list(methods))
        self.contract = contract
