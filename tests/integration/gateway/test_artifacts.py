"""Artifacts over HTTP."""

import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from aspora.skills.archive import ArchiveFile, write_archive

PACKED = write_archive([ArchiveFile("SKILL.md", b"---\nname: s\ndescription: d\n---\n")])
DATA, DIGEST = PACKED.data, PACKED.digest
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


async def test_a_damaged_one_is_not_there_for_who_asks_and_is_mended_by_the_next_upload(
    door: Any, tmp_path: Path
) -> None:
    artifact = {"digest": DIGEST, "sizeBytes": len(DATA), "fileCount": 1}
    spec = {"skillMd": {"name": "s", "description": "d"}, "artifact": artifact}
    await door.api.call("PUT", PATH, data=DATA)
    await door.api.post("/api/v1/domains/default/skills", {"metadata": {"name": "s"}, "spec": spec})
    digits = DIGEST.removeprefix("sha256:")
    (tmp_path / "artifacts/sha256" / digits[:2] / digits).write_bytes(DATA[:-1] + b"x")
    refused = await door.api.get(PATH)
    assert refused.status == 422
    assert "damaged" in refused.json()["message"]
    assert (await door.api.call("HEAD", PATH)).status == 404
    assert (await door.api.call("PUT", PATH, data=DATA)).status == 201
    assert (await door.api.get(PATH)).body == DATA


async def test_wrong_bytes_and_wrong_digests_are_refused(door: Any) -> None:
    answer = await door.api.call("PUT", PATH, data=DATA[:-1])
    assert (answer.status, answer.json()["details"][0]["field"]) == (422, "digest")
    assert not await door.artifacts.exists(DIGEST)
    for digest in ("sha256:abc", "md5:" + "a" * 64, DIGEST.upper()):
        assert (await door.api.call("PUT", f"/api/v1/domains/default/artifacts/{digest}", data=b"x")).status == 400
    assert (await door.api.call("PUT", PATH.replace("default", "nope"), data=DATA)).status == 404


def link_inside() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        link = tarfile.TarInfo("SKILL.md")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return out.getvalue()


@pytest.mark.parametrize("data", [b"", b"no tar at all", DATA[:-512], DATA + b"more", link_inside()])
async def test_only_archives_in_canonical_form_are_kept(door: Any, data: bytes) -> None:
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    answer = await door.api.call("PUT", f"/api/v1/domains/default/artifacts/{digest}", data=data)
    assert (answer.status, answer.json()["message"].split(":")[0]) == (422, "archive")
    assert not await door.artifacts.exists(digest)


async def test_a_skill_waits_for_its_artifact_but_a_dry_run_does_not(door: Any) -> None:
    skills = "/api/v1/domains/default/skills"
    artifact = {"digest": DIGEST, "sizeBytes": len(DATA), "fileCount": 1}
    skill = {"metadata": {"name": "s"}, "spec": {"skillMd": {"name": "s", "description": "d"}, "artifact": artifact}}
    refused = await door.api.post(skills, skill)
    assert (refused.status, refused.json()["details"][0]["field"]) == (422, "spec.artifact.digest")
    assert (await door.api.post(f"{skills}?dryRun=All", skill)).status == 200
    assert (await door.api.call("PUT", PATH, data=DATA)).status == 201
    assert (await door.api.post(skills, skill)).status == 201
    other = {"spec": {"artifact": {"digest": "sha256:" + "0" * 64}}}
    assert (await door.api.patch(f"{skills}/s", other)).status == 422
    assert (await door.api.patch(f"{skills}/s", {"spec": {"ownerTeam": "t"}})).status == 200


async def test_large_ones_pass_up_to_their_own_cap(door: Any) -> None:
    large = write_archive([ArchiveFile("data.bin", b"x" * (5 * 1024 * 1024))])
    path = f"/api/v1/domains/default/artifacts/{large.digest}"
    assert (await door.api.call("PUT", path, data=io.BytesIO(large.data))).status == 201
    over = io.BytesIO(b"x" * (64 * 1024 * 1024 + 1))
    assert (await door.api.call("PUT", path, data=over)).status == 413
