"""A kind from another package works with every verb, over HTTP and on the command line, with no shipped file edited."""

import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from tests.e2e.server import Aspora, started

TOY = Path(__file__).parent / "toy_kind"
MANIFEST = """apiVersion: aspora.dev/v1
kind: Gadget
metadata: {name: wheel, domain: default}
spec: {sizeMillimetres: 40}
"""


@pytest.fixture(scope="module")
def aspora() -> Generator[Aspora]:
    path = os.pathsep.join(p for p in (str(TOY), os.environ.get("PYTHONPATH", "")) if p)
    with started(PYTHONPATH=path) as running:
        yield running


def test_every_verb(aspora: Aspora) -> None:
    assert "gadgets" in aspora.ok("api-resources")
    assert "sizeMillimetres" in aspora.ok("explain", "gadget.spec")
    assert "How long it is." in aspora.ok("explain", "gadgets.spec")
    watcher = subprocess.Popen(
        [sys.executable, "-m", "aspora", "watch", "gadgets", "-o", "json"],
        env=dict(aspora.environ),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert "gadget/default/wheel created" in aspora.ok("apply", "-f", "-", stdin=MANIFEST)
        assert "unchanged" in aspora.ok("apply", "-f", "-", stdin=MANIFEST)
        assert watcher.stdout is not None
        assert '"ADDED"' in watcher.stdout.readline()
        table = aspora.ok("get", "gg")
        assert table.split("\n")[0].split() == ["DOMAIN", "NAME", "SIZE", "COLOUR", "AGE"]
        assert "wheel" in table
        assert "Colour:" in aspora.ok("describe", "gadget", "wheel")
        changed = MANIFEST.replace("40", "41")
        assert aspora.run("diff", "-f", "-", stdin=changed).code == 1
        assert "configured" in aspora.ok("apply", "-f", "-", stdin=changed)
        assert '"MODIFIED"' in watcher.stdout.readline()
        assert "gadget/default/wheel deleted" in aspora.ok("delete", "gadget", "wheel")
        assert '"DELETED"' in watcher.stdout.readline()
    finally:
        watcher.terminate()
        watcher.communicate()


def test_its_own_validation_and_the_nearest_name(aspora: Aspora) -> None:
    unlucky = aspora.run("apply", "-f", "-", stdin=MANIFEST.replace("40", "13"))
    assert unlucky.code == 4
    assert "13 is unlucky" in unlucky.err
    mistyped = aspora.run("apply", "-f", "-", stdin=MANIFEST.replace("sizeMillimetres", "sizeMilimetres"))
    assert "did you mean 'sizeMillimetres'" in mistyped.err


def test_over_http(aspora: Aspora) -> None:
    path = "/api/v1/domains/default/gadgets"
    body = {"kind": "Gadget", "metadata": {"name": "bolt", "domain": "default"}, "spec": {"sizeMillimetres": 5}}
    status, made = aspora.http("POST", path, body)
    assert (status, made["spec"]["colour"]) == (201, "grey")
    status, same = aspora.http("PUT", f"{path}/bolt", {**made, "spec": {"sizeMillimetres": 6}})
    assert (status, same["metadata"]["generation"]) == (200, 2)
    assert aspora.http("PUT", f"{path}/bolt", made)[0] == 409
    assert "gadgets" in str(aspora.http("GET", "/openapi.json")[1]["paths"])
    assert aspora.http("DELETE", f"{path}/bolt")[0] == 200
    assert aspora.http("GET", f"{path}/bolt")[0] == 404
