"""What a route takes and gives, said beside the route, so that `/openapi.json` can publish it.

Source: OpenAPI Specification 3.1, whose schemas are JSON Schema 2020-12.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from aspora.gateway.http import JSON_TYPE

Schema = Mapping[str, Any]


def reference(name: str) -> Schema:
    """A schema that stands elsewhere in the document, by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


@dataclass(frozen=True, slots=True)
class Answer:
    """One way in which a request is answered.

    Attributes:
        description: When.
        schema: Name of the body's schema; for lines of JSON, of one line's.
    """

    description: str
    schema: str
    media_type: str = JSON_TYPE


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What a route takes and gives besides its path; errors are the same everywhere and left out.

    Attributes:
        answers: By HTTP status.
        query: Schema of each query parameter.
        headers: Schema of each request header.
        body: Name of the schema of the JSON body; None when there is none.
        schemas: Those named above and those they refer to, by name.
    """

    answers: Mapping[int, Answer]
    query: Mapping[str, Schema] = field(default_factory=dict[str, Schema])
    headers: Mapping[str, Schema] = field(default_factory=dict[str, Schema])
    body: str | None = None
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
