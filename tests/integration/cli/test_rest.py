"""The command line's connection, against a real HTTP server on loopback that answers as told."""

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from aspora.cli.rest import Rest, connect
from aspora.client.paths import api_path, object_path
from aspora.db.data_dir import DataDirLock
from aspora.meta.errors import Conflict, NotFound, TooManyRequests, Unauthorized, Unavailable

CONFLICT = b'{"kind":"Status","reason":"Conflict","message":"it has changed","details":[]}'
SLOW_DOWN = b'{"kind":"Status","reason":"TooManyRequests","message":"later","details":[]}'
ANSWERS = {
    "/conflict": (409, CONFLICT, {}),
    "/busy": (429, SLOW_DOWN, {"Retry-After": "7"}),
    "/proxy": (502, b"<html>bad gateway</html>", {}),
    "/json": (500, b'["not", "ours"]', {}),
    "/absent": (404, b"", {}),
    "/things?limit=1000": (200, b'{"metadata":{"continue":"more"},"items":[1,2]}', {}),
    "/things?limit=1000&continue=more": (200, b'{"metadata":{},"items":[3]}', {}),
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


@contextmanager
def serving(handler: type[Told], **how: Any) -> Generator[Rest]:
    """A connection to a server of its own."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        rest = Rest(f"http://127.0.0.1:{server.server_port}", "key", **how)
        try:
            yield rest
        finally:
            rest.close()
            server.shutdown()
            thread.join()


@pytest.fixture
def rest() -> Generator[Rest]:
    with serving(Told) as made:
        yield made


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
    path = api_path("a%2fb c?d", "sha256:1")
    assert rest.call("GET", path, query={"q": "x&y", "none": None}) == "/api/v1/a%252fb%20c%3Fd/sha256:1?q=x%26y"


def test_a_list_is_read_to_its_last_page(rest: Rest) -> None:
    assert list(rest.items("/things")) == [1, 2, 3]


class Forgetful(Told):
    """Keeps a connection, as it says, and yet closes it after its first answer."""

    protocol_version = "HTTP/1.1"
    methods: ClassVar[list[str]] = []
    closed: ClassVar[threading.Event] = threading.Event()

    def do_GET(self) -> None:
        self.methods.append(self.command)
        super().do_GET()
        self.close_connection = True

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def finish(self) -> None:
        super().finish()
        self.connection.shutdown(socket.SHUT_RDWR)
        self.closed.set()


def test_a_write_after_a_long_pause_finds_the_connection_closed_and_takes_another() -> None:
    Forgetful.methods.clear()
    Forgetful.closed.clear()
    with serving(Forgetful) as rest:
        rest.call("GET", "/a")
        assert Forgetful.closed.wait(10)
        assert rest.call("PUT", "/b", body={}) == "/b"
    assert Forgetful.methods == ["GET", "PUT"]


class Patient(Told):
    """Keeps its connections, and counts them."""

    protocol_version = "HTTP/1.1"
    connections: ClassVar[int] = 0

    def setup(self) -> None:
        super().setup()
        Patient.connections += 1

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()


@pytest.mark.parametrize(("reuse_seconds", "connections"), [(600.0, 1), (0.0, 3)])
def test_a_connection_is_used_again_for_as_long_as_the_gateway_surely_keeps_it(
    reuse_seconds: float, connections: int
) -> None:
    Patient.connections = 0
    with serving(Patient, reuse_seconds=reuse_seconds) as rest:
        for _ in range(3):
            rest.call("PUT", "/a", body={})
    assert Patient.connections == connections


class Abrupt(Told):
    """Reads a write and hangs up: nobody knows what became of it."""

    protocol_version = "HTTP/1.1"
    writes: ClassVar[list[str]] = []

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.writes.append(self.path)
        self.close_connection = True


def test_a_write_that_may_have_been_handled_is_not_sent_again() -> None:
    Abrupt.writes.clear()
    with serving(Abrupt) as rest:
        rest.call("GET", "/a")
        with pytest.raises(Unavailable, match="hung up"):
            rest.call("PUT", "/b", body={})
    assert Abrupt.writes == ["/b"]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / "endpoint.json").write_text('{"url": "http://127.0.0.1:7701"}')
    (tmp_path / "admin.key").write_text("the-key\n")
    return tmp_path


def test_the_admin_key_goes_to_the_aspora_that_runs_there_alone(data_dir: Path) -> None:
    with DataDirLock(data_dir):
        assert connect(url="", api_key="", data_dir=data_dir)._key == "the-key"
        assert connect(url="http://127.0.0.1:7701/", api_key="", data_dir=data_dir)._key == "the-key"
        for other in ("http://127.0.0.1:7702", "https://127.0.0.1:7701", "http://example.org:7701"):
            with pytest.raises(Unauthorized, match="ASPORA_API_KEY"):
                connect(url=other, api_key="", data_dir=data_dir)
            assert connect(url=other, api_key="mine", data_dir=data_dir)._key == "mine"


def test_what_a_killed_aspora_left_is_not_believed(data_dir: Path) -> None:
    with pytest.raises(Unavailable, match="no Aspora is running"):
        connect(url="", api_key="", data_dir=data_dir)
    with pytest.raises(Unauthorized, match="ASPORA_API_KEY"):
        connect(url="http://127.0.0.1:7701", api_key="", data_dir=data_dir)


def test_a_file_of_certificates_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ASPORA_CA_FILE"):
        Rest("https://127.0.0.1:1", "key", ca_file=str(tmp_path / "absent.pem"))


@pytest.mark.parametrize(
    "url",
    ["http://[::1", "http://x:99999", "http://x:y", "http://a b", f"http://{'a' * 80}.com", "http://a\x01b", "ftp://x"],
)
def test_an_address_that_is_none_is_refused_in_our_words(url: str) -> None:
    with pytest.raises(ValueError, match="is not a gateway's address; write it like"):
        Rest(url, "key")


def test_secrets_that_can_not_be_sent_are_not_shown(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ASPORA_API_KEY holds a line break") as refused:
        connect(url="http://127.0.0.1:7700", api_key="top\nsecret", data_dir=tmp_path)
    assert "secret" not in str(refused.value)
    with pytest.raises(ValueError, match="leave it out") as refused:
        Rest("http://me:hidden@127.0.0.1", "key")
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"]
)
def test_another_service_is_not_taken_for_a_gateway(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(Unavailable, match="not as a gateway does"):
            Rest(f"http://127.0.0.1:{server.getsockname()[1]}", "key").resources()
        thread.join()
