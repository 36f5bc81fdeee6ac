"""The command line's connection to the gateway: synchronous, standard library, raw JSON in and out."""

import http.client
import json
import re
import select
import shlex
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from aspora.client.codec import encode_body, error_of
from aspora.client.paths import API_ROOT, target
from aspora.db.data_dir import lock_is_held
from aspora.meta.errors import BY_REASON, StatusError, Unauthorized, Unavailable
from aspora.meta.names import did_you_mean, quoted

TABLE = "application/json;as=Table"
DESCRIPTION = "application/json;as=Description"
ENDPOINT_FILE = "endpoint.json"
KEY_FILE = "admin.key"
PAGE_SIZE = 1000
REUSE_SECONDS = 3.0
"""How long an idle connection is used again: shorter than the 5 s that the gateway keeps it, so that no request meets
a connection that the gateway is closing."""

_HOST = re.compile(r"[A-Za-z0-9._:-]+")
MAX_ERROR_BYTES = 4 * 1024 * 1024


class ConnectionLost(Unavailable):
    """The connection stood and broke: nobody knows what became of the request."""


def place_option(overrides: Mapping[str, Any]) -> str:
    """What a command needs behind it to mean the same Aspora as this one: ` --data-dir …`, when that was given."""
    given = overrides.get("data_dir")
    return "" if given is None else f" --data-dir {shlex.quote(str(given))}"


def connect(
    *, url: str, api_key: str, data_dir: Path, ca_file: str = "", impersonate: str = "", place: str = ""
) -> "Rest":
    """Find the gateway: the URL that was given, else the endpoint file of the data directory.

    The data directory's admin key goes to the Aspora that runs over that directory and to no other address.

    Args:
        ca_file: PEM file of the certificates to trust in place of the system's; "" for the system's.
        impersonate: In whose name to ask, for administrators; "" for one's own.
        place: What the commands in hints need to mean the same Aspora; see `place_option`.

    Raises:
        Unavailable: There is neither; says what would do.
        Unauthorized: The URL is not the data directory's, and no key was given for it.
    """
    rest = _found(url=url, api_key=api_key, data_dir=data_dir, ca_file=ca_file, place=place)
    rest.impersonate = _sendable(impersonate, source="--as")
    return rest


def _found(*, url: str, api_key: str, data_dir: Path, ca_file: str, place: str) -> "Rest":
    api_key = _sendable(api_key, source="ASPORA_API_KEY")
    if url and api_key:
        return Rest(url, api_key, ca_file=ca_file, place=place)
    if url:
        rest = Rest(url, "", ca_file=ca_file, place=place)
        if rest.url != _published_url(data_dir, place=place):
            raise Unauthorized(
                f"no API key for {rest.url}; set ASPORA_API_KEY (the admin key of {str(data_dir)!r} is sent to the"
                " Aspora that runs there and nowhere else)"
            )
        return Rest(url, _read_key(data_dir), ca_file=ca_file, place=place)
    found = _published_url(data_dir, place=place)
    if not found:
        raise Unavailable(
            f"no Aspora is running with data directory {str(data_dir)!r}; start one: aspora up --detach{place}"
        )
    return Rest(found, api_key or _read_key(data_dir), ca_file=ca_file, place=place)


def _published_url(data_dir: Path, *, place: str) -> str:
    """The address of the Aspora that runs over the data directory; "" when none does.

    Whoever was killed leaves its endpoint file behind, and its port to anybody: the lock decides.
    """
    endpoint = data_dir / ENDPOINT_FILE
    try:
        url = str(json.loads(endpoint.read_text())["url"]) if lock_is_held(data_dir) else ""
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except PermissionError:
        raise Unavailable(
            f"{str(endpoint)!r} belongs to another user; set ASPORA_URL and ASPORA_API_KEY, or choose --data-dir"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise Unavailable(
            f"{str(endpoint)!r} is damaged; restart Aspora: aspora down{place}; aspora up --detach{place}"
        ) from None
    return url


def _read_key(data_dir: Path) -> str:
    path = data_dir / KEY_FILE
    try:
        return _sendable(path.read_text("utf-8", "replace").strip(), source=f"the admin key {str(path)!r}")
    except OSError as e:
        raise Unavailable(f"the admin key {str(path)!r} can't be read ({e.strerror}); set ASPORA_API_KEY") from None


def _sendable(key: str, *, source: str) -> str:
    """A key that fits a header; a refusal never shows it."""
    if not key.isascii() or not key.isprintable():
        raise ValueError(f"{source} holds a line break or another character that no header can hold; set it again")
    return key


def _trust(ca_file: str) -> ssl.SSLContext:
    """Whom to believe: the system's authorities, or those of one file."""
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except OSError as e:
        reason = e.strerror or "it is no certificate"
        raise ValueError(f"ASPORA_CA_FILE {ca_file!r} can't be used: {reason}; name a PEM file") from None


def _why(error: Exception) -> str:
    """What the system or the protocol says, without the names of Python's classes."""
    return getattr(error, "strerror", None) or "the connection was closed"


def _parsed(url: str) -> SplitResult:
    """A gateway's address in its parts; nothing else gets to the libraries below, which would say it in their words."""
    if "@" in url:
        raise ValueError("the gateway's address holds a user or password; leave it out and set ASPORA_API_KEY")
    try:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme not in {"http", "https"} or parts.port == 0:
            raise ValueError
        if not _HOST.fullmatch((parts.hostname or "").encode("idna").decode("ascii")):
            raise ValueError
    except ValueError:
        raise ValueError(f"{quoted(url)} is not a gateway's address; write it like http://127.0.0.1:7700") from None
    return parts


def _has_word(sock: socket.socket) -> bool:
    """Whether the other side has said something unasked: on an idle connection that is its end."""
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    return bool(poller.poll(0))


class Rest:
    """Requests to one gateway. Every method raises `StatusError` as the server sent it.

    Attributes:
        impersonate: In whose name to ask; "" for the key's owner.
        place: What the commands in hints need to mean the same Aspora; see `place_option`.
        timeout_seconds: How long an answer may take.
        warnings: Of the answers so far.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        ca_file: str = "",
        place: str = "",
        timeout_seconds: float = 75,
        reuse_seconds: float = REUSE_SECONDS,
    ) -> None:
        parts = _parsed(url)
        self.url = f"{parts.scheme}://{parts.netloc}"
        self._host, self._port = parts.hostname or "", parts.port
        self._tls = _trust(ca_file) if parts.scheme == "https" else None
        self.place = place
        self._key, self.timeout_seconds = api_key, timeout_seconds
        self._reuse_seconds = reuse_seconds
        self._idle: http.client.HTTPConnection | None = None
        self._idle_since = 0.0
        self._resources: list[dict[str, Any]] | None = None
        self.impersonate = ""
        self.warnings: list[str] = []

    def close(self) -> None:
        """Hang up."""
        if self._idle is not None:
            self._idle.close()
            self._idle = None

    def _drop_stale(self) -> None:
        """Hang up what the gateway has closed or soon will: a write that meets its end may or may not be done."""
        sock = None if self._idle is None else self._idle.sock
        if sock is None or time.monotonic() - self._idle_since >= self._reuse_seconds or _has_word(sock):
            self.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self._idle is not None:
            connection, self._idle = self._idle, None
            return connection
        if self._tls is not None:
            return http.client.HTTPSConnection(self._host, self._port, timeout=self.timeout_seconds, context=self._tls)
        return http.client.HTTPConnection(self._host, self._port, timeout=self.timeout_seconds)

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Send one request and return the connection and the answer with its body unread.

        Args:
            path: As `aspora.client.paths` makes them.
        """
        given = {k: str(v) for k, v in (query or {}).items() if v is not None and v != ""}
        where = target(path, given)
        sent = {"Accept": "application/json", "Authorization": f"Bearer {self._key}", **(headers or {})}
        if self.impersonate:
            sent["Impersonate-User"] = self.impersonate
        content = raw if raw is not None else None if body is None else encode_body(body)
        if content is not None:
            sent.setdefault("Content-Type", "application/octet-stream" if raw is not None else "application/json")
        self._drop_stale()
        reused = self._idle is not None
        connection = self._connection()
        try:
            connection.request(method, where, body=content, headers=sent)
            response = connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as e:
            connection.close()
            if reused and method in {"GET", "HEAD"}:
                return self.send(method, path, query=query, body=body, raw=raw, headers=headers)
            raise ConnectionLost(f"{self.url} hung up ({_why(e)}); check it: aspora status{self.place}") from None
        except TimeoutError:
            connection.close()
            raise Unavailable(
                f"{self.url} did not answer within {self.timeout_seconds:g} s; check it: aspora status{self.place}"
            ) from None
        except ssl.SSLError as e:
            raise Unavailable(
                f"{self.url} shows no certificate to trust: {getattr(e, 'verify_message', '') or e.reason}; for one of"
                " your own set ASPORA_CA_FILE, and use a URL that the certificate names"
            ) from None
        except http.client.HTTPException:
            connection.close()
            raise self._no_gateway() from None
        except (ConnectionRefusedError, socket.gaierror, OSError) as e:
            raise Unavailable(
                f"no gateway answers at {self.url} ({_why(e)}); start one: aspora up --detach{self.place}"
            ) from None
        if response.status >= 400:
            error = self._as_error(response)
            self._keep(connection, response)
            raise error
        self.warnings += [_warning_text(w) for w in response.headers.get_all("Warning") or []]
        return connection, response

    def _no_gateway(self) -> Unavailable:
        return Unavailable(f"{self.url} answers, but not as a gateway does; see that it is the right address")

    def _as_error(self, response: http.client.HTTPResponse) -> StatusError:
        text = response.read(MAX_ERROR_BYTES)
        if not text and (found := next((cls for cls in BY_REASON.values() if cls.code == response.status), None)):
            return found(f"{self.url} answered {response.status} {response.reason}")
        headers = {name.lower(): value for name, value in response.getheaders()}
        return error_of(response.status, headers, text, source=self.url)

    def call(self, method: str, path: str, **kwargs: Any) -> Any:
        """Send a request and return the decoded JSON answer (None when empty)."""
        text = self.call_raw(method, path, **kwargs)
        try:
            return json.loads(text) if text else None
        except ValueError:
            raise self._no_gateway() from None

    def call_raw(self, method: str, path: str, **kwargs: Any) -> bytes:
        """Send a request and return the answer's bytes."""
        connection, response = self.send(method, path, **kwargs)
        try:
            content = response.read()
        except (http.client.HTTPException, ConnectionError) as e:
            connection.close()
            raise ConnectionLost(
                f"{self.url} hung up in its answer ({_why(e)}); check it: aspora status{self.place}"
            ) from None
        self._keep(connection, response)
        return content

    def items(self, path: str, *, query: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """The objects of a list, page by page until the last."""
        token = None
        while True:
            page = self.call("GET", path, query={**(query or {}), "limit": PAGE_SIZE, "continue": token})
            yield from page["items"]
            token = page["metadata"].get("continue")
            if not token:
                return

    def _keep(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        """Keep a connection whose answer has been read for the next request, if the server does too."""
        if response.will_close or not response.isclosed():
            connection.close()
        else:
            self._idle, self._idle_since = connection, time.monotonic()

    def stream(
        self,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        idle_seconds: float | None = None,
    ) -> Iterator[dict[str, Any]]:
        """The lines of an NDJSON stream as they come, until the server ends it.

        Args:
            idle_seconds: How long it may be silent before it counts as broken; None for as long as it likes.
        """
        connection, response = self.send("GET", path, query=query, headers=headers)
        try:
            if connection.sock is not None:
                connection.sock.settimeout(idle_seconds)
            while line := response.readline():
                if line.strip():
                    yield json.loads(line)
        except TimeoutError:
            raise ConnectionLost(
                f"the stream from {self.url} has been silent for {idle_seconds:g} s;"
                f" check it: aspora status{self.place}"
            ) from None
        except (http.client.HTTPException, ConnectionError) as e:
            raise ConnectionLost(
                f"the stream from {self.url} broke ({_why(e)}); check it: aspora status{self.place}"
            ) from None
        finally:
            connection.close()

    def resources(self) -> list[dict[str, Any]]:
        """The kinds the server knows, records included."""
        resources = self._resources
        if resources is None:
            answer = self.call("GET", API_ROOT)
            if not isinstance(answer, dict) or "resources" not in answer:
                raise self._no_gateway()
            resources = self._resources = list(answer["resources"])
        return resources

    def resource(self, word: str) -> dict[str, Any]:
        """The kind a person means by a plural, singular, short name or kind.

        Raises:
            ValueError: Nothing is called that; names the nearest.
        """
        folded = word.lower()
        words: dict[str, dict[str, Any]] = {}
        for resource in self.resources():
            for name in (resource["name"], resource["singularName"], resource["kind"].lower(), *resource["shortNames"]):
                words[name] = resource
        if folded not in words:
            raise ValueError(f"unknown kind {word!r}{did_you_mean(folded, words)}")
        return words[folded]


def _warning_text(header: str) -> str:
    """The text of an RFC 7234 warning, `299 - "text"`."""
    start, end = header.find('"'), header.rfind('"')
    return header[start + 1 : end].replace('\\"', '"').replace("\\\\", "\\") if 0 <= start < end else header
