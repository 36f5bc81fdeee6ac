"""The command line's connection, against a real HTTP server on loopback that answers as told."""

import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from aspora.cli.rest import Rest
from aspora.client.paths import object_path
from aspora.meta.errors import Conflict, NotFound, TooManyRequests, Unavailable

CONFLICT = b'{"kind":"Status","reason":"Conflict","message":"it has changed","details":[]}'
SLOW_DOWN = b'{"kind":"Status","reason":"TooManyRequests","message":"later","details":[]}'
ANSWERS = {
    "/conflict": (409, CONFLICT, {}),
    "/busy": (429, SLOW_DOWN, {"Retry-After": "7"}),
    "/proxy": (502, b"<html>bad gateway</html>", {}),
    "/json": (500, b'["not", "ours"]', {}),
    "/absent": (404, b"", {}),
}


class Told(BaseHTTPRequestHandler):
    """Answers by `ANSWERS`; anything else says the request's first line back."""

    def do_GET(self) -> None:
        status, body, headers = ANSWERS.get(self.path, (200, f'"{self.path}"'.encode(), {}))
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def rest() -> Generator[Rest]:
    with HTTPServer(("127.0.0.1", 0), Told) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Rest(f"http://127.0.0.1:{server.server_port}", "key")
        server.shutdown()
        thread.join()


def test_errors_come_as_the_server_sent_them(rest: Rest) -> None:
    with pytest.raises(Conflict, match="it has changed"):
        rest.call("GET", "/conflict")
    with pytest.raises(TooManyRequests) as caught:
        rest.call("GET", "/busy")
    assert caught.value.retry_after_seconds == 7


@pytest.mark.parametrize("path", ["/proxy", "/json"])
def test_what_no_gateway_would_say_is_told(rest: Rest, path: str) -> None:
    with pytest.raises(Unavailable, match=r"answered 50\d, not as an Aspora gateway would"):
        rest.call("GET", path)


def test_an_error_without_a_body_goes_by_its_code(rest: Rest) -> None:
    with pytest.raises(NotFound, match="answered 404"):
        rest.call("GET", "/absent")


def test_paths_are_encoded_once(rest: Rest) -> None:
    path = object_path("skills", "a/b c%", domain="dömain")
    assert rest.call("GET", path) == "/api/v1/domains/d%C3%B6main/skills/a%2Fb%20c%25"
    assert rest.call("GET", "/api/v1/a b", query={"q": "x&y", "none": None}) == "/api/v1/a%20b?q=x%26y"
