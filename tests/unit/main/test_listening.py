import socket

import pytest

from aspora.main.listening import (
    bind,
    bind_internal,
    check_certificate,
    check_exposure,
    internal_url_of,
    is_loopback,
    url_of,
)
from aspora.main.settings import Settings
from aspora.meta.errors import Conflict, Forbidden, Invalid


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "example.org"])
def test_plain_http_beyond_loopback_is_refused(host: str) -> None:
    with pytest.raises(Forbidden, match="ASPORA_ALLOW_PLAINTEXT"):
        check_exposure(Settings(host=host))


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(host="localhost"),
        Settings(host="::1"),
        Settings(host="0.0.0.0", allow_plaintext=True),
        Settings(host="0.0.0.0", tls_cert="c.pem", tls_key="k.pem"),
    ],
)
def test_what_is_permitted(settings: Settings) -> None:
    check_exposure(settings)


def test_half_a_certificate_is_refused() -> None:
    with pytest.raises(Invalid, match="ASPORA_TLS_KEY"):
        check_exposure(Settings(tls_cert="c.pem"))


def test_loopback() -> None:
    assert is_loopback("127.8.9.10")
    assert not is_loopback("10.0.0.1")


def test_a_taken_port_is_named_with_the_way_out() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(Conflict, match="ASPORA_PORT"):
            bind(Settings(port=port))


def test_port_zero_finds_a_free_one() -> None:
    with bind(Settings(port=0)) as bound:
        assert url_of(bound, Settings()) == f"http://127.0.0.1:{bound.getsockname()[1]}"


def test_a_name_that_is_no_address() -> None:
    with pytest.raises(Invalid, match="not an address"):
        bind(Settings(host="no such host"))


def test_with_tls_the_url_has_the_name_that_was_given() -> None:
    named = Settings(host="localhost", port=0, tls_cert="c.pem", tls_key="k.pem")
    with bind(named) as bound:
        assert url_of(bound, named).startswith("https://localhost:")


def test_own_processes_get_a_plain_socket_on_loopback_with_tls_alone() -> None:
    assert bind_internal(Settings(host="0.0.0.0", allow_plaintext=True)) is None
    internal = bind_internal(Settings(host="0.0.0.0", tls_cert="c.pem", tls_key="k.pem"))
    assert internal is not None
    with internal:
        assert internal_url_of(internal).startswith("http://127.0.0.1:")


def test_a_certificate_that_is_none_is_told_with_its_setting() -> None:
    with pytest.raises(Invalid, match=r"ASPORA_TLS_CERT 'absent\.pem'"):
        check_certificate(Settings(tls_cert="absent.pem", tls_key="absent.pem"))
