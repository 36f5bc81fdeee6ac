"""What the whole platform promises at its edges: an external database, damaged artifacts, keys, idempotency."""

import json
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.e2e.server import Aspora, started


@pytest.fixture(scope="module")
def aspora() -> Generator[Aspora]:
    with started() as running:
        running.ok("apply", "-f", "skills/ecm")
        yield running


def run_order(aspora: Aspora, text: str, **headers: str) -> tuple[int, dict[str, object]]:
    path = "/api/v1/domains/ecm/skills/order-details/executions?wait=30"
    return aspora.http("POST", path, {"input": {"userMessage": text}}, headers=headers)


def test_an_external_database(dsn: str) -> None:
    with started(ASPORA_DATABASE_URL=dsn) as aspora:
        assert not (aspora.data_dir / "postgres").exists()
        aspora.ok("apply", "-f", "skills/ecm")
        assert "ORD-10201" in aspora.ok("run", "ecm/order-details", "Where is my order ORD-10201?")
        for path in aspora.data_dir.rglob("*.log"):
            assert "password" not in path.read_text().lower()


def test_a_flipped_byte_in_a_stored_artifact_is_refused_by_its_digest() -> None:
    with started() as aspora:
        aspora.ok("apply", "-f", "skills/ecm")
        blobs = [p for p in (aspora.data_dir / "artifacts").rglob("*") if p.is_file()]
        assert blobs
        for blob in blobs:
            data = bytearray(blob.read_bytes())
            data[len(data) // 2] ^= 1
            blob.chmod(0o600)
            blob.write_bytes(data)
        done = aspora.run("run", "ecm/order-details", "Where is my order ORD-10201?")
        assert done.code == 1
        assert "digest" in done.out + done.err
        assert "sha256:" in done.out + done.err
        aspora.ok("apply", "-f", "skills/ecm")
        assert "ORD-10201" in aspora.ok("run", "ecm/order-details", "Where is my order ORD-10201?")


def test_one_idempotency_key_makes_one_execution_and_another_body_is_a_conflict(aspora: Aspora) -> None:
    def post(_: int) -> tuple[int, dict[str, object]]:
        return run_order(aspora, "ORD-10201", **{"Idempotency-Key": "same"})

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(post, range(50)))
    assert {status for status, _ in answers} <= {200, 201, 202}
    assert len({json.dumps(body["metadata"]["name"]) for _, body in answers}) == 1  # type: ignore[index]
    status, body = run_order(aspora, "another", **{"Idempotency-Key": "same"})
    assert (status, body["reason"]) == (409, "Conflict")


def test_roles_and_domains_limit_a_key(aspora: Aspora) -> None:
    key = aspora.ok("create", "apikey", "reader", "--role", "viewer", "-d", "ecm").strip()
    assert aspora.http("GET", "/api/v1/domains/ecm/skills", key=key)[0] == 200
    body = {"kind": "Route", "metadata": {"name": "x.production"}, "spec": {"skill": "x"}}
    assert aspora.http("POST", "/api/v1/domains/ecm/routes", body, key=key)[0] == 403
    here = aspora.http("GET", "/api/v1/domains/default/skills/x", key=key)
    nowhere = aspora.http("GET", "/api/v1/domains/absent/skills/x", key=key)
    assert here[0] == nowhere[0] == 404
    assert here[1]["message"].replace("default", "D") == nowhere[1]["message"].replace("absent", "D")
    assert aspora.http("GET", "/api/v1/skills", key="aspora_reader_" + "0" * 64)[0] == 401


def test_secrets_stand_nowhere_that_is_written(aspora: Aspora) -> None:
    run_order(aspora, "Where is my order ORD-10201?")
    written = b"".join(p.read_bytes() for p in aspora.data_dir.glob("*.log"))
    assert aspora.key.encode() not in written
    password = (aspora.data_dir / "postgres.credentials").read_text()
    secrets = [word for word in password.replace('"', " ").replace(",", " ").split() if len(word) > 20]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            assert not any(secret.encode() in words for secret in [aspora.key, *secrets])
