"""Artifacts over HTTP."""

import hashlib
import io
from typing import Any

DATA = b"not really a tar" * 1000
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()
PATH = f"/api/v1/domains/default/artifacts/{DIGEST}"


async def test_bytes_come_back_once_a_skill_refers_to_them(door: Any) -> None:
    api = door.api
    assert (await api.call("HEAD", PATH)).status == 404
    put = await api.call("PUT", PATH, data=DATA)
    assert (put.status, put.json()["sizeBytes"]) == (201, len(DATA))
    assert (await api.call("PUT", PATH, data=DATA)).status == 201
    assert (await api.get(PATH)).status == 404
    artifact = {"digest": DIGEST, "sizeBytes": len(DATA), "fileCount": 1}
    spec = {"skillMd": {"name": "s", "description": "d"}, "artifact": artifact}
    made = await api.post("/api/v1/domains/default/skills", {"metadata": {"name": "s"}, "spec": spec})
    assert made.status == 201
    got = await api.get(PATH)
    assert (got.body, got.headers["etag"], got.headers["content-type"]) == (DATA, f'"{DIGEST}"', "application/x-tar")
    head = await api.call("HEAD", PATH)
    assert (head.status, head.body) == (200, b"")
    assert (await api.post("/api/v1/domains", {"metadata": {"name": "other"}, "spec": {}})).status == 201
    assert (await api.get(PATH.replace("default", "other"))).status == 404


async def test_wrong_bytes_and_wrong_digests_are_refused(door: Any) -> None:
    answer = await door.api.call("PUT", PATH, data=DATA[:-1])
    assert (answer.status, answer.json()["details"][0]["field"]) == (422, "digest")
    assert not await door.artifacts.exists(DIGEST)
    for digest in ("sha256:abc", "md5:" + "a" * 64, DIGEST.upper()):
        assert (await door.api.call("PUT", f"/api/v1/domains/default/artifacts/{digest}", data=b"x")).status == 400
    assert (await door.api.call("PUT", PATH.replace("default", "nope"), data=DATA)).status == 404


async def test_large_ones_pass_up_to_their_own_cap(door: Any) -> None:
    data = b"x" * (5 * 1024 * 1024)
    path = "/api/v1/domains/default/artifacts/sha256:" + hashlib.sha256(data).hexdigest()
    assert (await door.api.call("PUT", path, data=io.BytesIO(data))).status == 201
    over = io.BytesIO(b"x" * (64 * 1024 * 1024 + 1))
    assert (await door.api.call("PUT", path, data=over)).status == 413
