"""The frame: one error shape for everything, limits, identity, metrics."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from aspora.access.interface import ANY, Caller, Grant
from aspora.gateway.app import AppConfig, build_app
from aspora.gateway.http import allow_body, caller_of, json_response, query_of, read_json_object, wants
from aspora.kit.clock import SystemClock
from aspora.meta.errors import Conflict, FieldError, TooManyRequests, Unauthorized, Unavailable
from aspora.telemetry.metrics import Metrics

Call = Callable[..., Awaitable[Any]]
KEY = {"authorization": "Bearer good"}


async def authenticate(text: str) -> Caller:
    if text != "good":
        raise Unauthorized("the API key is unknown or revoked")
    return Caller("ann", "user", (Grant(None, frozenset({ANY}), frozenset({ANY})),))


async def echo(request: Request) -> Response:
    """Sends the body back."""
    query_of(request, ("x",))
    return json_response({"caller": caller_of(request).name, "body": await read_json_object(request)})


async def large(request: Request) -> Response:
    allow_body(request.scope, 100)
    return json_response({"bytes": len(await request.body())})


async def refuse(request: Request) -> Response:
    raise Conflict("it has changed", details=[FieldError("spec.x", "is stale")])


async def busy(request: Request) -> Response:
    raise TooManyRequests("slow down", retry_after_seconds=2.4)


async def crash(request: Request) -> Response:
    raise RuntimeError("secret-detail")


async def hang(request: Request) -> Response:
    await asyncio.Event().wait()
    raise AssertionError("never")


async def form(request: Request) -> Response:
    return json_response({"form": wants(request)}, warnings=['Inactive: "x"\ny', "two"])


ROUTES = [
    Route("/echo/{name}", echo, methods=["POST"]),
    Route("/large", large, methods=["POST"]),
    Route("/refuse", refuse),
    Route("/busy", busy),
    Route("/crash", crash),
    Route("/hang", hang),
    Route("/form", form),
]


async def not_ready() -> None:
    raise Unavailable("the database can't be reached")


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def app(metrics: Metrics) -> ASGIApp:
    config = AppConfig(
        authenticate=authenticate,
        clock=SystemClock(),
        metrics=metrics,
        version="9.9.9",
        ready_checks={"database": not_ready},
        max_body_bytes=20,
        deadline_seconds=0.05,
    )
    return build_app(config, [ROUTES])


@pytest.mark.parametrize(
    ("method", "path", "code", "reason", "says"),
    [
        ("GET", "/nowhere", 404, "NotFound", "'/nowhere'"),
        ("GET", "/echo/x", 405, "MethodNotAllowed", "allowed: POST"),
        ("GET", "/echo/x/", 404, "NotFound", "no such path"),
        ("GET", "/refuse", 409, "Conflict", "it has changed"),
        ("GET", "/crash", 500, "Internal", "defect"),
        ("GET", "/hang", 504, "Timeout", "0.05 s"),
        ("GET", "/busy", 429, "TooManyRequests", "slow down"),
    ],
)
async def test_every_failure_has_the_one_shape(
    app: ASGIApp, call: Call, method: str, path: str, code: int, reason: str, says: str
) -> None:
    answer = await call(app, method, path, headers=KEY)
    body = answer.json()
    assert (answer.status, body["code"], body["reason"], body["kind"]) == (code, code, reason, "Status")
    assert says in body["message"]
    assert b"secret-detail" not in answer.body
    assert b"Traceback" not in answer.body
    assert answer.header("content-type") == "application/json"
    assert len(answer.header("x-request-id")) == 24


async def test_details_and_retry_after_travel(app: ASGIApp, call: Call) -> None:
    assert (await call(app, "GET", "/refuse", headers=KEY)).json()["details"][0]["field"] == "spec.x"
    assert (await call(app, "GET", "/busy", headers=KEY)).header("retry-after") == "2"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer bad"},
        {"authorization": "Basic good"},
        {"authorization": "Bearer"},
        [("authorization", "Bearer good"), ("authorization", "Bearer good")],
    ],
)
async def test_nothing_passes_without_a_key(app: ASGIApp, call: Call, headers: Any) -> None:
    for path in ("/refuse", "/nowhere", "/metrics", "/api/v1"):
        answer = await call(app, "GET", path, headers=headers)
        assert answer.status == 401
        assert answer.header("www-authenticate") == 'Bearer realm="aspora"'


async def test_probes_need_no_key(app: ASGIApp, call: Call) -> None:
    assert (await call(app, "GET", "/healthz")).json() == {"status": "ok"}
    assert (await call(app, "GET", "/version")).json()["version"] == "9.9.9"
    ready = await call(app, "GET", "/readyz")
    assert ready.status == 503
    assert ready.json()["message"] == "not ready: database; the gateway's log says why"
    assert [d["field"] for d in ready.json()["details"]] == ["database"]


@pytest.mark.parametrize(
    ("headers", "chunks", "code"),
    [
        ({}, [b'{"a":1}'], 200),
        ({"content-type": "application/json; charset=utf-8"}, [b'{"a":', b"1}"], 200),
        ({"content-type": "application/yaml"}, [b"a: 1"], 400),
        ({"content-length": "21"}, [b"{}"], 413),
        ({"content-length": "-5"}, [b"{}"], 400),
        ({"content-length": "9" * 30}, [b"{}"], 400),
        ({}, [b" " * 15, b" " * 15, b"{}"], 413),
        ({}, [b"{"], 400),
    ],
)
async def test_bodies_are_capped_and_strict(app: ASGIApp, call: Call, headers: Any, chunks: Any, code: int) -> None:
    answer = await call(app, "POST", "/echo/x", headers={**KEY, **headers}, chunks=chunks)
    assert answer.status == code, answer.body


async def test_an_oversized_stream_is_not_read_to_its_end(app: ASGIApp, call: Call) -> None:
    answer = await call(app, "POST", "/echo/x", headers=KEY, chunks=[b"x" * 10] * 1000)
    assert (answer.status, answer.received) == (413, 3)


async def test_a_handler_may_raise_its_own_cap(app: ASGIApp, call: Call) -> None:
    assert (await call(app, "POST", "/large", headers=KEY, chunks=[b"x" * 100])).json() == {"bytes": 100}
    assert (await call(app, "POST", "/large", headers=KEY, chunks=[b"x" * 101])).status == 413


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("y=1", "unknown query parameter 'y'"),
        ("x=1&x=2", "given twice"),
        ("x=%00", "control character"),
        ("x=%ff", "not UTF-8"),
        ("%ff=1", "unknown query parameter"),
    ],
)
async def test_query_parameters_are_strict(app: ASGIApp, call: Call, query: str, says: str) -> None:
    answer = await call(app, "POST", "/echo/x", headers=KEY, chunks=[b"{}"], query=query)
    assert answer.status == 400
    assert says in answer.json()["message"]


async def test_forms_and_warnings(app: ASGIApp, call: Call) -> None:
    answer = await call(app, "GET", "/form", headers={**KEY, "accept": "application/json;as=Table"})
    assert answer.json() == {"form": "Table"}
    assert [v for k, v in answer.headers if k == "warning"] == ['299 - "Inactive: \\"x\\" y"', '299 - "two"']
    assert (await call(app, "GET", "/form", headers={**KEY, "accept": "*/*"})).json() == {"form": ""}
    assert (await call(app, "GET", "/form", headers={**KEY, "accept": "application/json;as=Tabel"})).status == 400


async def test_a_good_request_id_is_kept_and_a_bad_one_replaced(app: ASGIApp, call: Call) -> None:
    kept = await call(app, "GET", "/healthz", headers={"x-request-id": "trace-1234"})
    assert kept.header("x-request-id") == "trace-1234"
    replaced = await call(app, "GET", "/healthz", headers={"x-request-id": "a b\tc"})
    assert len(replaced.header("x-request-id")) == 24


async def test_metrics_count_by_route_template(app: ASGIApp, call: Call, metrics: Metrics) -> None:
    for path in ("/echo/a", "/echo/b", "/nowhere/1", "/nowhere/2"):
        await call(app, "POST", path, headers=KEY, chunks=[b"{}"])
    text = (await call(app, "GET", "/metrics", headers=KEY)).body.decode()
    assert 'aspora_http_requests_total{code="200",method="POST",route="/echo/{name}"} 2.0' in text
    assert 'aspora_http_requests_total{code="404",method="ANY",route="none"} 2.0' in text
    assert "nowhere" not in text
