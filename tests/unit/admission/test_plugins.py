"""Each plugin by itself."""

from collections.abc import Callable
from typing import Any

import pytest

from aspora.access.keys import hash_key, parse_key
from aspora.admission.artifacts import Artifacts
from aspora.admission.defaulting import Defaulting
from aspora.admission.inactive import Inactive
from aspora.admission.interface import AdmissionPorts, AdmissionRequest
from aspora.admission.keys import Keys
from aspora.admission.schema import Schema
from aspora.admission.versions import Versions
from aspora.skills.archive import ArchiveFile, write_archive

Ask = Callable[..., AdmissionRequest]
Make = Callable[..., dict[str, Any]]


async def test_defaults_become_explicit_and_stay_put(ports: AdmissionPorts, ask: Ask, skill: Make) -> None:
    plugin = Defaulting(ports)
    once = (await plugin.mutate(ask("Skill", skill()))).object
    assert once["spec"]["runtime"]["timeoutSeconds"] == 30
    assert once["spec"]["model"]["primary"] == ""
    assert (await plugin.mutate(ask("Skill", once))).object == once


async def test_the_servers_metadata_and_the_status_are_not_the_callers(
    ports: AdmissionPorts, ask: Ask, skill: Make
) -> None:
    given = skill() | {"status": {"latestRevision": "forged"}}
    given["metadata"] |= {"uid": "forged", "generation": 9, "creationTimestamp": "2020-01-01T00:00:00Z"}
    created = (await Defaulting(ports).mutate(ask("Skill", given))).object
    assert "status" not in created
    assert not {"uid", "generation", "creationTimestamp"} & set(created["metadata"])

    old = skill() | {"status": {"latestRevision": "real"}}
    old["metadata"] |= {"uid": "u", "generation": 2}
    updated = (await Defaulting(ports).mutate(ask("Skill", given, old=old))).object
    assert (updated["metadata"]["uid"], updated["metadata"]["generation"]) == ("u", 2)
    assert updated["status"]["latestRevision"] == "real"


@pytest.mark.parametrize("broken", [{}, {"metadata": 3}, {"metadata": {"name": "x"}, "spec": [1]}, {"spec": None}])
async def test_what_the_schema_will_refuse_passes_untouched(ports: AdmissionPorts, ask: Ask, broken: Any) -> None:
    request = ask("Skill", {"metadata": {"name": "x"}})
    object.__setattr__(request, "new", broken)
    spec = (await Defaulting(ports).mutate(request)).object.get("spec")
    assert spec == broken.get("spec")
    object.__setattr__(request, "new", broken)
    assert (await Schema(ports).validate(request)).errors


async def test_schema_names_every_problem(ports: AdmissionPorts, ask: Ask, skill: Make) -> None:
    given = skill(runtime={"timeoutSecond": 3, "cpuMillis": -1}, role="boss")
    given["metadata"]["name"] = "Not_A_Name"
    errors = {e.field: e.message for e in (await Schema(ports).validate(ask("Skill", given))).errors}
    assert "timeoutSeconds" in errors["spec.runtime.timeoutSecond"]
    assert {"spec.role", "spec.runtime.cpuMillis"} <= set(errors)


async def test_an_immutable_spec_stays(ports: AdmissionPorts, ask: Ask, make: Make, skill: Make) -> None:
    digest = "sha256:" + "b" * 64
    spec = {"skill": "s", "digest": digest, "version": "1", "skillSpec": skill()["spec"]}
    old = make("Revision", "s-bbbbbbbbbb", spec, domain="d")
    new = make("Revision", "s-bbbbbbbbbb", spec | {"version": "2"}, domain="d")
    assert [e.reason for e in (await Schema(ports).validate(ask("Revision", new, old=old))).errors] == ["Immutable"]
    labelled = make("Revision", "s-bbbbbbbbbb", spec, domain="d", labels={"a": "b"})
    assert not (await Schema(ports).validate(ask("Revision", labelled, old=old))).errors


async def test_inactive_fields_warn_when_set_and_only_then(ports: AdmissionPorts, ask: Ask, skill: Make) -> None:
    plain = (await Defaulting(ports).mutate(ask("Skill", skill()))).object
    assert (await Inactive(ports).validate(ask("Skill", plain))).warnings == []
    given = skill(triggers=[{"type": "always"}], visibility="public")
    full = (await Defaulting(ports).mutate(ask("Skill", given))).object
    warnings = (await Inactive(ports).validate(ask("Skill", full))).warnings
    assert sorted(w.split(":")[1] for w in warnings) == [" spec.triggers", " spec.visibility"]
    assert all(w.startswith("Inactive: ") for w in warnings)


async def test_a_tool_that_does_not_exist_is_named(ports: AdmissionPorts, ask: Ask, skill: Make) -> None:
    given = skill(permissions={"tools": ["read", "reed", "bash"]})
    warnings = (await Inactive(ports).validate(ask("Skill", given))).warnings
    assert warnings == [
        "Inactive: spec.permissions.tools: there is no tool 'reed'; did you mean 'read'?",
        "Inactive: spec.permissions.tools: there is no tool 'bash'; known: read",
    ]


async def test_a_skill_whose_artifact_is_not_uploaded_is_refused(
    ports: AdmissionPorts, ask: Ask, make: Make, skill: Make
) -> None:
    plugin = Artifacts(ports)
    assert not (await plugin.validate(ask("Skill", skill("a")))).errors
    for request in (ask("Skill", skill("e")), ask("Skill", skill("e"), old=skill("a"))):
        (error,) = (await plugin.validate(request)).errors
        assert error.field == "spec.artifact.digest"
        assert "aspora apply" in error.message
    revision = {"skill": "s", "digest": "sha256:" + "d" * 64, "version": "1", "skillSpec": skill("e")["spec"]}
    (error,) = (await plugin.validate(ask("Revision", make("Revision", "s-d", revision, domain="d")))).errors
    assert error.field == "spec.skillSpec.artifact.digest"


@pytest.mark.parametrize(
    ("files", "runtime", "field", "message"),
    [
        ({"a.txt": b""}, {}, "artifact.digest", "the artifact holds no SKILL.md"),
        ({"SKILL.md": b"caf\xe9"}, {}, "artifact.digest", "SKILL.md is not UTF-8: byte 0xe9 at offset 3"),
        ({"SKILL.md": b"", "GUARDRAILS.md": b"\xff"}, {}, "artifact.digest", "GUARDRAILS.md is not UTF-8"),
        ({"SKILL.md": b"x" * (2**20 + 1)}, {}, "artifact.digest", "SKILL.md has 1048577 bytes; at most 1048576"),
        (
            {"SKILL.md": b"", "code/handler.py": b""},
            {"language": "python", "entryPoint": "code/handlr.py"},
            "runtime.entryPoint",
            "'code/handlr.py' is not a file of the artifact; did you mean 'code/handler.py'?",
        ),
        (
            {"SKILL.md": b"", "h.go": b""},
            {"language": "go", "entryPoint": "h.go"},
            "runtime.language",
            "go handlers can't be run yet; write the handler in python",
        ),
    ],
)
async def test_an_artifact_that_could_not_be_run_is_refused_with_the_field(
    ports: AdmissionPorts,
    artifacts: Any,
    ask: Ask,
    make: Make,
    skill: Make,
    files: dict[str, bytes],
    runtime: dict[str, str],
    field: str,
    message: str,
) -> None:
    packed = write_archive([ArchiveFile(path, data) for path, data in files.items()])
    artifacts.held["sha256:" + "e" * 64] = packed.data
    given = skill("e", runtime=runtime)
    revision = {"skill": "s", "digest": "sha256:" + "d" * 64, "version": "1", "skillSpec": given["spec"]}
    asked = {"spec": given, "spec.skillSpec": make("Revision", "s-d", revision, domain="d")}
    for path, obj in asked.items():
        (error,) = (await Artifacts(ports).validate(ask(obj["kind"], obj))).errors
        assert error.field == f"{path}.{field}"
        assert message in error.message


async def test_bytes_that_are_no_archive_are_refused_with_the_field(
    ports: AdmissionPorts, artifacts: Any, ask: Ask, skill: Make
) -> None:
    artifacts.held["sha256:" + "e" * 64] = b"no tar"
    (error,) = (await Artifacts(ports).validate(ask("Skill", skill("e")))).errors
    assert (error.field, error.message[:8]) == ("spec.artifact.digest", "archive:")


async def test_a_dry_run_refuses_a_language_that_cannot_run(ports: AdmissionPorts, ask: Ask, skill: Make) -> None:
    given = skill("e", runtime={"language": "go", "entryPoint": "h.go"})
    (error,) = (await Artifacts(ports).validate(ask("Skill", given, dry_run=True))).errors
    assert error.field == "spec.runtime.language"


async def test_dry_runs_and_writes_that_keep_the_spec_need_no_artifact(
    ports: AdmissionPorts, artifacts: Any, ask: Ask, make: Make, skill: Make
) -> None:
    lost = skill("e")
    for request in (
        ask("Skill", lost, dry_run=True),
        ask("Skill", {**lost, "metadata": lost["metadata"] | {"labels": {"a": "b"}}}, old=lost),
        ask("Skill", lost, old=skill("a"), operation="update_status"),
        ask("Skill", None, old=lost),
        ask("Role", make("Role", "r", {"rules": []})),
    ):
        assert not (await Artifacts(ports).validate(request)).errors
    assert artifacts.asked == []


async def test_a_new_key_is_shown_once_and_its_hash_kept(ports: AdmissionPorts, ask: Ask, make: Make) -> None:
    given = make("ApiKey", "ci", {"owner": "ann", "keyHash": hash_key("chosen")}, domain="fraud")
    mutation = await Keys(ports).mutate(ask("ApiKey", given))
    text = mutation.once["key"]
    assert str(parse_key(text)) == "fraud.ci"
    assert mutation.object["spec"]["keyHash"] == hash_key(text)

    dry = await Keys(ports).mutate(ask("ApiKey", given, dry_run=True))
    assert dry.once == {}

    old = make("ApiKey", "ci", {"owner": "ann", "keyHash": hash_key("real")}, domain="fraud")
    kept = await Keys(ports).mutate(ask("ApiKey", given, old=old))
    assert kept.object["spec"]["keyHash"] == hash_key("real")
    assert kept.once == {}


async def test_one_version_one_content(ports: AdmissionPorts, reader: Any, ask: Ask, make: Make, skill: Make) -> None:
    plugin = Versions(ports)
    first = skill("a", version="1.0.0")
    assert not (await plugin.validate(ask("Skill", first))).errors
    errors = (await plugin.validate(ask("Skill", skill("b", version="1.0.0"), old=first))).errors
    assert "raise the version" in errors[0].message
    assert not (await plugin.validate(ask("Skill", skill("b", version="1.0.1"), old=first))).errors
    assert not (await plugin.validate(ask("Skill", skill("a", version="1.0.0", role="field"), old=first))).errors

    revision = {"skill": "s", "digest": "sha256:" + "c" * 64, "version": "1.0.0", "skillSpec": first["spec"]}
    reader.add(make("Revision", "s-cccccccccc", revision, domain="d"))
    later = skill("b", version="2.0.0")
    assert (await plugin.validate(ask("Skill", skill("b", version="1.0.0"), old=later))).errors
    assert not (await plugin.validate(ask("Skill", first, old=later))).errors
    other = skill("b", version="1.0.0")
    other["metadata"]["name"] = "t"
    assert not (await plugin.validate(ask("Skill", other))).errors
    assert not (await plugin.validate(ask("Skill", skill("b"), old=skill("a")))).errors
