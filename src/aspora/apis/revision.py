"""Revision: an immutable snapshot of a skill, named by its content digest; never edited."""

from typing import Any

from pydantic import Field

from aspora.apis.kind import Column, Kind, Scope, Section, Wire
from aspora.apis.skill import SkillSpec
from aspora.meta.errors import FieldError
from aspora.meta.objects import ApiModel, Object, ObjectStatus

DIGEST_PREFIX = "sha256:"


def revision_name(skill: str, digest: str) -> str:
    """`<skill>-<first 10 hex digits>` of the digest over artifact and settings; a long skill name is cut to fit."""
    return f"{skill[:52].rstrip('-')}-{digest.removeprefix(DIGEST_PREFIX)[:10]}"


class RevisionSpec(ApiModel):
    """All that an execution needs, frozen."""

    skill: str
    """Name of the Skill it was made from."""
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    """SHA-256 over the artifact's digest and the skill's settings."""
    version: str
    """The version people read: semver from the skill, or the timestamp of its first apply."""
    skill_spec: SkillSpec
    """The Skill's spec at that moment."""


def validate(revision: Object[RevisionSpec, ObjectStatus]) -> list[FieldError]:
    """The name follows from skill and digest."""
    expected = revision_name(revision.spec.skill, revision.spec.digest)
    if revision.metadata.name != expected:
        return [FieldError("metadata.name", f"must be {expected!r}, from spec.skill and spec.digest")]
    return []


def describe(obj: Wire) -> list[Section]:
    """What it is made of."""
    spec: dict[str, Any] = obj["spec"]
    artifact: dict[str, Any] = spec["skillSpec"].get("artifact", {})
    rows = (
        ("Skill", spec["skill"]),
        ("Version", spec["version"]),
        ("Digest", spec["digest"]),
        ("Artifact", str(artifact.get("digest", ""))),
        ("Contents", f"{artifact.get('sizeBytes', 0)} bytes in {artifact.get('fileCount', 0)} files"),
    )
    return [Section("Snapshot", rows)]


KIND = Kind(
    kind="Revision",
    plural="revisions",
    scope=Scope.DOMAIN,
    spec=RevisionSpec,
    short_names=("rev",),
    validate=validate,
    immutable_spec=True,
    columns=(
        Column("SKILL", "spec.skill"),
        Column("VERSION", "spec.version"),
        Column("ARTIFACT", lambda o: str(o["spec"]["skillSpec"].get("artifact", {}).get("digest", ""))[7:19]),
        Column("DIGEST", "spec.digest", wide=True),
    ),
    describe=describe,
)
