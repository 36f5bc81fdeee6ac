"""TLS with a certificate of one's own: the gateway, Aspora's own processes behind it, and the command line."""

import json
import os
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest
from tests.e2e.server import Aspora, prepared


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl here to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", "/CN=aspora-test"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


@pytest.fixture(scope="module")
def aspora(certificate: tuple[Path, Path]) -> Generator[Aspora]:
    cert, key = (os.path.relpath(path) for path in certificate)
    with prepared(ASPORA_TLS_CERT=cert, ASPORA_TLS_KEY=key, ASPORA_CA_FILE=str(certificate[0])) as made:
        made.ok("up", "--detach", cwd=Path.cwd())
        yield made


def test_everything_works_over_tls(aspora: Aspora) -> None:
    assert aspora.url.startswith("https://127.0.0.1:")
    assert "default" in aspora.ok("get", "domains")
    aspora.ok("apply", "-f", "skills/ecm")
    ran = json.loads(aspora.ok("run", "ecm/order-details", "Where is my order ORD-10201?", "-o", "json"))
    assert ran["status"]["state"] == "Succeeded"


def test_a_certificate_that_nobody_vouches_for_is_refused(aspora: Aspora) -> None:
    done = Aspora(aspora.data_dir, {**aspora.environ, "ASPORA_CA_FILE": ""}).run("get", "domains")
    assert done.code == 3
    assert "ASPORA_CA_FILE" in done.err


def test_a_certificate_without_its_key_is_told_at_once(aspora: Aspora, certificate: tuple[Path, Path]) -> None:
    cert = str(certificate[0])
    other = aspora.data_dir.with_name("other")
    wrong = {"ASPORA_DATA_DIR": str(other), "ASPORA_TLS_CERT": cert, "ASPORA_TLS_KEY": cert}
    done = Aspora(other, {**aspora.environ, **wrong}).run("up")
    assert done.code == 4
    assert "ASPORA_TLS_KEY" in done.err
