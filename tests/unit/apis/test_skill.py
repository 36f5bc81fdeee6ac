from typing import Any

import pytest

from aspora.apis.decode import decode
from aspora.apis.fields import explain
from aspora.apis.skill import KIND, SUFFIXES, entry_point_problem
from aspora.apis.skill_class import execution_class
from aspora.meta.errors import Invalid
from aspora.meta.objects import to_wire

DIGEST = "sha256:" + "0" * 64


def skill(**spec: Any) -> dict[str, Any]:
    base = {
        "skillMd": {"name": "toy", "description": "A toy."},
        "artifact": {"digest": DIGEST, "sizeBytes": 1, "fileCount": 1},
    }
    return {"kind": "Skill", "metadata": {"name": "toy", "domain": "demo"}, "spec": {**base, **spec}}


PYTHON = {"language": "python", "entryPoint": "code/handler.py"}


@pytest.mark.parametrize(
    ("spec", "name", "why"),
    [
        ({}, "durable", "agent loop"),
        ({"runtime": {"language": "markdown"}}, "durable", "agent loop"),
        ({"runtime": PYTHON}, "inline", "only reads and ends within 30 s"),
        ({"runtime": {**PYTHON, "timeoutSeconds": 30}}, "inline", "30 s"),
        ({"runtime": {**PYTHON, "timeoutSeconds": 31}}, "durable", "31 s"),
        ({"runtime": {**PYTHON, "durable": True}}, "durable", "its author asks"),
        ({"runtime": PYTHON, "permissions": {"apis": [{"name": "trm"}]}}, "durable", "write through trm"),
        ({"runtime": PYTHON, "permissions": {"apis": [{"name": "trm", "access": "read"}]}}, "inline", "only reads"),
        ({"runtime": PYTHON, "permissions": {"mcp": [{"name": "m", "access": "write"}]}}, "durable", "through m"),
        ({"runtime": PYTHON, "permissions": {"tools": ["read"]}}, "inline", "only reads"),
        ({"runtime": PYTHON, "permissions": {"tools": ["bash"]}}, "durable", "through bash"),
        ({"runtime": {"durable": False}}, "durable", "agent loop"),
    ],
)
def test_the_execution_class(spec: dict[str, Any], name: str, why: str) -> None:
    chosen = execution_class(spec)
    assert chosen.name == name
    assert why in chosen.why
    whole = to_wire(decode(KIND, skill(**spec)))["spec"]
    assert execution_class(whole) == chosen


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"runtime": {"language": "python"}}, "spec.runtime.entryPoint"),
        ({"runtime": {"entryPoint": "code/handler.py"}}, "spec.runtime.entryPoint"),
        ({"runtime": {"language": "go", "entryPoint": "a.py"}}, "spec.runtime.entryPoint"),
        ({"runtime": {"language": "python", "entryPoint": "../a.py"}}, "spec.runtime.entryPoint"),
        ({"runtime": {"language": "python", "entryPoint": "/a.py"}}, "spec.runtime.entryPoint"),
        ({"runtime": {"timeoutSeconds": 0}}, "spec.runtime.timeoutSeconds"),
        ({"runtime": {"timeoutSeconds": 1.5}}, "spec.runtime.timeoutSeconds"),
        ({"version": "1.0.0"}, "spec.version"),
        ({"versioning": {"strategy": "semver"}}, "spec.version"),
        ({"version": "1", "versioning": {"strategy": "semver"}}, "spec.version"),
        ({"role": "boss"}, "spec.role"),
        ({"triggers": [{"type": "cron"}]}, "spec.triggers[0].schedule"),
        ({"triggers": [{"type": "always", "patterns": ["x"]}]}, "spec.triggers[0].patterns"),
        ({"artifact": {"digest": "sha256:x", "sizeBytes": 1, "fileCount": 1}}, "spec.artifact.digest"),
        ({"monitoring": {"thresholds": {"errorRateBp": 10_001}}}, "spec.monitoring.thresholds.errorRateBp"),
    ],
)
def test_refusals_name_the_field(spec: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        decode(KIND, skill(**spec))
    assert field in [d.field for d in caught.value.details]


def test_columns_and_description() -> None:
    wire = to_wire(decode(KIND, skill(runtime=PYTHON, ownerTeam="care", costCenter="CC-1")))
    version = next(c for c in KIND.columns if c.name == "VERSION")
    assert version.cell(wire) == "-"
    wire["status"] = {
        "latestRevision": "toy-1",
        "latestVersion": "20260218120000",
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    cells = {c.name: c.cell(wire) for c in KIND.columns}
    assert cells == {
        "ROLE": "specialist", "VERSION": "20260218120000", "READY": "True", "RUNTIME": "python", "CLASS": "inline",
        "HEALTHY": "-", "REVISION": "toy-1", "OWNER": "care",
    }  # fmt: skip
    wire["status"]["conditions"][0]["reason"] = "RolledBack"
    assert version.cell(wire) == "20260218120000 (rolled back)"
    wire["status"]["conditions"][0]["reason"] = "ServesOtherRevisions"
    assert version.cell(wire) == "20260218120000 (in part)"
    rows = {label: text for section in KIND.describe(wire) for label, text in section.rows}
    assert rows["Owner team"] == "care"
    assert rows["Cost center"] == "CC-1"
    assert rows["Class"].startswith("inline: ")
    assert rows["Memory"] == "512 MB"
    assert rows["Healthy"].startswith("not known yet")


@pytest.mark.parametrize(
    ("condition", "cell", "told"),
    [
        ({"status": "True", "reason": "WithinThresholds"}, "True", "True"),
        (
            {"status": "False", "reason": "TooSlow", "message": "the 95th percentile is over 100 ms"},
            "False: TooSlow",
            "False: the 95th percentile is over 100 ms",
        ),
        ({"status": "Unknown", "reason": "NotMonitored"}, "Unknown", "Unknown: NotMonitored"),
    ],
)
def test_health_is_seen_at_a_glance(condition: dict[str, str], cell: str, told: str) -> None:
    wire = to_wire(decode(KIND, skill(runtime=PYTHON)))
    wire["status"] = {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Healthy", **condition}]}
    column = next(c for c in KIND.columns if c.name == "HEALTHY")
    assert column.wide
    assert column.cell(wire) == cell
    assert dict(row for section in KIND.describe(wire) for row in section.rows)["Healthy"] == told


def test_every_inactive_path_is_a_field() -> None:
    for path in KIND.inactive:
        parent, _, name = path.rpartition(".")
        assert name in [f.name for f in explain(KIND, parent)[1]], path


def test_every_field_says_what_it_means() -> None:
    def walk(path: str) -> None:
        for field in explain(KIND, path)[1]:
            assert field.description, field.path
            if field.has_fields:
                walk(field.path)

    walk("spec")


def test_a_path_that_can_name_no_file_of_the_folder_says_why() -> None:
    assert entry_point_problem("code/handler.py") == ""
    for path, why in [
        ("/a", "leaves the skill's folder"),
        ("a/../b", "leaves the skill's folder"),
        ("./a", "is not written plainly; write 'a'"),
        ("a//./b", "is not written plainly; write 'a/b'"),
        ("", "names no file"),
        ("./", "names no file"),
        ("a\\b", "holds a backslash"),
        ("a\0", "holds a backslash or a NUL"),
    ]:
        assert entry_point_problem(path).startswith(why)


def test_each_language_says_which_files_it_takes() -> None:
    assert set(SUFFIXES) == {"python", "markdown", "typescript", "go"}
