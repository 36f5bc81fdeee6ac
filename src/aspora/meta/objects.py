"""ObjectMeta and the generic object: `apiVersion`, `kind`, `metadata`, `spec`, `status`.

camelCase on the wire, snake_case in Python, by the one alias generator of `ApiModel`; unknown fields are refused.
Source: Kubernetes API conventions.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, Strict
from pydantic.alias_generators import to_camel

from aspora.meta.errors import API_VERSION

FOREGROUND_FINALIZER = "foregroundDeletion"
"""Holds a deleted object until those that it owns are gone."""

ORPHAN_FINALIZER = "orphan"
"""Holds a deleted object until those that it owns have forgotten it."""

PROPAGATION_FINALIZERS: Mapping[str, str] = {"Foreground": FOREGROUND_FINALIZER, "Orphan": ORPHAN_FINALIZER}
"""By the propagation that a delete asks for; `Background` needs none."""


def rfc3339(moment: datetime) -> str:
    """A UTC instant as RFC 3339 with milliseconds and `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Timestamp = Annotated[datetime, Strict(False), PlainSerializer(rfc3339, return_type=str, when_used="json")]


class ApiModel(BaseModel):
    """Base of everything that crosses the wire: camelCase aliases, unknown fields refused, immutable.

    A value has its field's own type: the text "30" is no number, and 1 is no boolean.
    """

    model_config = ConfigDict(
        strict=True,
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )


class OwnerReference(ApiModel):
    """Names the object in the same domain that this one belongs to."""

    kind: str
    name: str
    uid: str
    controller: bool = False


class Condition(ApiModel):
    """One observation about an object; the summary condition's type is `Ready`."""

    type: str
    """CamelCase name of the condition."""
    status: Literal["True", "False", "Unknown"]
    reason: str
    """CamelCase, machine-readable."""
    message: str = ""
    last_transition_time: Timestamp
    observed_generation: int | None = None


class ManagedFieldsEntry(ApiModel):
    """Fields that one manager owns."""

    manager: str
    """Who: a tool, a controller, or `user:NAME` of a caller that named none."""
    operation: Literal["Apply", "Update"]
    """`Apply` for what is meant to stay as applied, `Update` for what was changed by other writes."""
    fields: dict[str, Any]
    """A tree of `f:NAME`; items of lists with identity are `k:KEYS` or `v:VALUE`."""


class ObjectMeta(ApiModel):
    """What every object carries beside its spec."""

    name: str
    """Unique among its kind in its domain; lower-case letters, digits, '-'."""
    domain: str | None = None
    """The team's namespace; absent for cluster-wide objects."""
    uid: str | None = None
    """Set by the server; never reused."""
    resource_version: str | None = None
    """Opaque; send it back with an update, a stale one is a Conflict."""
    generation: int | None = None
    """Counts changes of the spec."""
    creation_timestamp: Timestamp | None = None
    deletion_timestamp: Timestamp | None = None
    """Set while finalizers hold a deleted object."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Short keys and values to select by."""
    annotations: dict[str, str] = Field(default_factory=dict)
    """Free text for tools and people; not selectable."""
    owner_references: list[OwnerReference] = Field(default_factory=list[OwnerReference])
    finalizers: list[str] = Field(default_factory=list)
    managed_fields: list[ManagedFieldsEntry] = Field(default_factory=list[ManagedFieldsEntry])
    """Who owns which field. Kept by the server; a write of `[{}]` forgets it all."""


class ObjectStatus(ApiModel):
    """Base of every status: decisions only, never numbers that change by themselves."""

    observed_generation: int | None = None
    """The spec generation that the status speaks of."""
    conditions: list[Condition] = Field(default_factory=list[Condition])


SpecT = TypeVar("SpecT", bound=ApiModel)
StatusT = TypeVar("StatusT", bound=ObjectStatus)


class Object(ApiModel, Generic[SpecT, StatusT]):
    """An object of any kind."""

    # Its fields have no docstrings, and to look for some in each kind's form takes 30 ms.
    model_config = ConfigDict(use_attribute_docstrings=False)

    api_version: Literal["aspora.dev/v1"] = API_VERSION
    kind: str
    metadata: ObjectMeta
    spec: SpecT
    status: StatusT | None = None


def to_wire(model: BaseModel) -> dict[str, Any]:
    """The JSON form: camelCase, absent values left out."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)
