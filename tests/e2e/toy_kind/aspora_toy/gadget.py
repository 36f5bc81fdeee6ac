"""Gadget: a kind that Aspora has never heard of."""

from pydantic import Field

from aspora.apis.kind import Column, Kind, Scope, Section, Wire
from aspora.meta.errors import FieldError
from aspora.meta.objects import ApiModel, Object, ObjectStatus


class GadgetSpec(ApiModel):
    """What a gadget should be."""

    size_millimetres: int = Field(ge=1)
    """How long it is."""
    colour: str = "grey"
    """How it looks."""


def validate(gadget: Object[GadgetSpec, ObjectStatus]) -> list[FieldError]:
    """Thirteen is unlucky."""
    if gadget.spec.size_millimetres == 13:
        return [FieldError("spec.sizeMillimetres", "13 is unlucky; choose another")]
    return []


def describe(obj: Wire) -> list[Section]:
    """Its looks."""
    return [Section("Looks", (("Colour", obj["spec"]["colour"]),))]


KIND = Kind(
    kind="Gadget",
    plural="gadgets",
    scope=Scope.DOMAIN,
    spec=GadgetSpec,
    short_names=("gg",),
    validate=validate,
    columns=(Column("SIZE", "spec.sizeMillimetres"), Column("COLOUR", "spec.colour")),
    describe=describe,
)
