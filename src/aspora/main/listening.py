"""The gateway's socket: bound before anything slow starts, so that a taken port is told at once."""

import ipaddress
import socket
import ssl
from dataclasses import replace

from aspora.main.settings import Settings, place_of
from aspora.meta.errors import Conflict, Forbidden, Invalid


def check_exposure(settings: Settings) -> None:
    """Refuse to show plain HTTP to the network unless someone said so.

    Raises:
        Forbidden: The address is beyond loopback, there is no TLS and no explicit flag.
        Invalid: Only one of certificate and key is set.
    """
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise Invalid("TLS needs both ASPORA_TLS_CERT and ASPORA_TLS_KEY; one of them is not set")
    if settings.tls_cert or settings.allow_plaintext or is_loopback(settings.host):
        return
    raise Forbidden(
        f"listening on {settings.host!r} would show API keys to the network in plain HTTP; set ASPORA_TLS_CERT and "
        "ASPORA_TLS_KEY, or ASPORA_ALLOW_PLAINTEXT=true behind a proxy that ends TLS, or keep ASPORA_HOST=127.0.0.1"
    )


def check_certificate(settings: Settings) -> None:
    """Try certificate and key before anything slow starts.

    Raises:
        Invalid: They can't be read, or don't belong together.
    """
    if not settings.tls_cert:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_cert, settings.tls_key, password="")
    except OSError as e:  # ssl.SSLError is one
        raise Invalid(
            f"ASPORA_TLS_CERT {settings.tls_cert!r} and ASPORA_TLS_KEY {settings.tls_key!r} can't be used:"
            f" {e.strerror or 'they do not belong together'}; "
            "name a certificate chain and its key, both PEM, the key without a password"
        ) from None


def is_loopback(host: str) -> bool:
    """Whether an address can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bind(settings: Settings) -> socket.socket:
    """A bound, inheritable socket on the configured address; see `bind_on`."""
    way_out = (
        "choose one with ASPORA_PORT (0 picks a free one), or see whether an Aspora runs already:"
        f" aspora status{place_of(settings)}"
    )
    return bind_on(settings.host, settings.port, host_setting="ASPORA_HOST", way_out=way_out)


def bind_on(host: str, port: int, *, host_setting: str, way_out: str) -> socket.socket:
    """A bound, inheritable socket.

    Args:
        host_setting: Which setting gave the address, for the message.
        way_out: What would do when the port is taken, for the message.

    Raises:
        Conflict: The port is taken.
        Invalid: The address is not one of this machine.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as e:
        raise Invalid(f"{host_setting} {host!r} is not an address: {e.strerror}; write it like 127.0.0.1") from None
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
        bound.listen(1024)
    except OSError as e:
        bound.close()
        if e.errno == 98:
            raise Conflict(f"port {port} on {host} is taken by another program; {way_out}") from None
        raise Invalid(
            f"can't listen on {host}:{port}: {e.strerror}; choose another with {host_setting} or another port"
        ) from None
    bound.set_inheritable(True)
    return bound


def bind_internal(settings: Settings) -> socket.socket | None:
    """With TLS a second socket, plain and on loopback alone, for Aspora's own processes; None when the first will do.

    They need not trust, nor be named by, the certificate that the operator chose for others.
    """
    return bind(replace(settings, host="127.0.0.1", port=0)) if settings.tls_cert else None


def internal_url_of(internal: socket.socket) -> str:
    """The address at which Aspora's own processes reach the gateway's internal socket."""
    host, port = internal.getsockname()
    return f"http://{host}:{port}"


def url_of(bound: socket.socket, settings: Settings) -> str:
    """The address to reach the gateway at; with TLS by name where a name was given, since certificates have names."""
    host, port = bound.getsockname()[:2]
    host = "127.0.0.1" if host in {"0.0.0.0", "::"} else host
    host = settings.host if settings.tls_cert and not _is_ip_address(settings.host) else host
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.tls_cert else 'http'}://{shown}:{port}"


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
