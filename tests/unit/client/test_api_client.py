"""The client's own work, over a transport that plays prepared answers."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aspora.client.api_client import ApiClient
from aspora.client.codec import encode_body
from aspora.client.interface import WatchEvent
from aspora.client.transport import Request, Response, StreamedResponse
from aspora.meta.errors import Conflict, Expired, NotFound, Unavailable

DISCOVERY = {"resources": [{"kind": "Skill", "name": "skills"}, {"kind": "Model", "name": "models"}]}
Answer = Callable[[Request], tuple[int, Any]]


class Transport:
    source = "the test"

    def __init__(self, answer: Answer, chunks: list[bytes] | None = None) -> None:
        self.sent: list[Request] = []
        self._answer = answer
        self._chunks = chunks or []
        self.is_closed = False

    async def request(self, request: Request, *, timeout_seconds: float) -> Response:
        self.sent.append(request)
        await asyncio.sleep(0)
        status, body = (200, DISCOVERY) if request.path == "/api/v1" else self._answer(request)
        return Response(status, {}, encode_body(body))

    @asynccontextmanager
    async def stream(self, request: Request, *, timeout_seconds: float) -> AsyncGenerator[StreamedResponse]:
        self.sent.append(request)
        status, body = self._answer(request)
        yield StreamedResponse(status, {}, self._play(encode_body(body) if status >= 300 else None))

    async def _play(self, body: bytes | None) -> AsyncIterator[bytes]:
        for chunk in self._chunks if body is None else [body]:
            yield chunk

    async def close(self) -> None:
        self.is_closed = True


def ok(request: Request) -> tuple[int, Any]:
    return 200, {"echo": request.path}


def obj(**more: Any) -> dict[str, Any]:
    return {"kind": "Skill", "metadata": {"name": "s", "domain": "ecm"}, **more}


async def test_each_verb_goes_to_its_place() -> None:
    transport = Transport(ok)
    client = ApiClient(transport)
    await client.get("Skill", "s", domain="ecm")
    await client.get("Model", "m")
    await client.create(obj(), dry_run=True)
    await client.update(obj())
    await client.update(obj(status={"x": 1}), status=True)
    await client.delete("Skill", "s", domain="ecm", uid="u")
    assert [(r.method, r.path, dict(r.query)) for r in transport.sent[1:]] == [
        ("GET", "/api/v1/domains/ecm/skills/s", {}),
        ("GET", "/api/v1/models/m", {}),
        ("POST", "/api/v1/domains/ecm/skills", {"dryRun": "All"}),
        ("PUT", "/api/v1/domains/ecm/skills/s", {}),
        ("PUT", "/api/v1/domains/ecm/skills/s/status", {}),
        ("DELETE", "/api/v1/domains/ecm/skills/s", {"uid": "u"}),
    ]
    assert transport.sent[5].body == encode_body(obj(status={"x": 1}))
    await client.close()
    assert transport.is_closed


async def test_discovery_happens_once_even_for_many_at_once_and_never_for_known_kinds() -> None:
    transport = Transport(ok)
    client = ApiClient(transport, plurals_by_kind={"Toy": "toys"})
    await client.get("Toy", "t")
    assert [r.path for r in transport.sent] == ["/api/v1/toys/t"]
    await asyncio.gather(*(client.get(kind, "x") for kind in ("Skill", "Model", "Skill")))
    assert [r.path for r in transport.sent].count("/api/v1") == 1


async def test_an_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(NotFound, match=r"no kind 'Skil'; did you mean 'Skill'\?"):
        await ApiClient(Transport(ok)).get("Skil", "s")


async def test_errors_are_the_servers_own() -> None:
    client = ApiClient(Transport(lambda _: (409, Conflict("it has changed").to_status())))
    with pytest.raises(Conflict, match="it has changed"):
        await client.update(obj())


async def test_list_sends_the_query_and_reads_the_page() -> None:
    page = {"metadata": {"resourceVersion": "7", "continue": "t"}, "items": [obj()]}
    transport = Transport(lambda _: (200, page))
    found = await ApiClient(transport).list("Skill", labels="a=b", fields="spec.x=y", limit=2, continue_token="s")
    assert (found.items, found.resource_version, found.continue_token) == ((obj(),), "7", "t")
    expected = {"labelSelector": "a=b", "fieldSelector": "spec.x=y", "continue": "s", "limit": "2"}
    assert (transport.sent[-1].path, dict(transport.sent[-1].query)) == ("/api/v1/skills", expected)


def line(kind: str, body: Any) -> bytes:
    return encode_body({"type": kind, "object": body}) + b"\n"


async def test_watch_yields_events_and_ends_with_the_stream() -> None:
    stream = line("ADDED", obj()) + line("BOOKMARK", {"metadata": {"resourceVersion": "9"}})
    transport = Transport(ok, [stream[:10], stream[10:]])
    events = [event async for event in ApiClient(transport).watch("Skill", since="5", domain="ecm", labels="a")]
    assert events == [WatchEvent("ADDED", obj()), WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": "9"}})]
    expected = {"watch": "true", "resourceVersion": "5", "labelSelector": "a"}
    assert (transport.sent[-1].path, dict(transport.sent[-1].query)) == ("/api/v1/domains/ecm/skills", expected)


async def test_watch_raises_what_the_server_says_before_or_in_the_stream() -> None:
    gone = Expired("list again").to_status()
    clients = [ApiClient(Transport(lambda _: (410, gone))), ApiClient(Transport(ok, [line("ERROR", gone)]))]
    for client in clients:
        with pytest.raises(Expired, match="list again"):
            await anext(client.watch("Skill", since="5"))


async def test_a_watch_cut_in_a_line_is_no_orderly_end() -> None:
    events = ApiClient(Transport(ok, [line("ADDED", obj()), b'{"type"'])).watch("Skill", since="5")
    await anext(events)
    with pytest.raises(Unavailable):
        await anext(events)
