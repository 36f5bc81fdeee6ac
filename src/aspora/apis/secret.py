"""Secret: named values that go in and never come out. They are sealed before they are stored; connectors open them."""

from pydantic import Field

from aspora.apis.kind import Column, Kind, Scope, Section, Wire
from aspora.meta.errors import FieldError
from aspora.meta.names import check_name
from aspora.meta.objects import ApiModel, Object, ObjectStatus

KIND_NAME = "Secret"
MAX_VALUES = 100
MAX_VALUE_CHARACTERS = 65_536
MAX_TOTAL_BYTES = 262_144


class SecretEntry(ApiModel):
    """One value, as much of it as may be known."""

    name: str
    """Its name."""
    size_bytes: int = Field(ge=0)
    """How long it is in UTF-8."""


class SecretSpec(ApiModel):
    """Named values. What is given replaces all of them; an update without `data` leaves them as they are."""

    data: dict[str, str] | None = None
    """The values by name. Write-only: no answer ever shows it."""
    entries: list[SecretEntry] = Field(default_factory=list[SecretEntry])
    """Set by the server: which values there are."""
    sealed: str = ""
    """Set by the server: the values, encrypted; never shown."""
    description: str = Field(default="", max_length=1_000)
    """For people: what it is for. Not secret."""


def entries_of(values: dict[str, str]) -> list[dict[str, object]]:
    """What may be known of some values."""
    return [{"name": name, "sizeBytes": len(text.encode())} for name, text in sorted(values.items())]


def check_values(values: dict[str, str]) -> list[FieldError]:
    """Names and sizes; no message repeats a value."""
    errors: list[FieldError] = []
    if len(values) > MAX_VALUES:
        errors.append(FieldError("spec.data", f"{len(values)} values; at most {MAX_VALUES}"))
    for name, text in values.items():
        errors += check_name(name, dots=True, field=f"spec.data.{name[:80]}")
        if len(text) > MAX_VALUE_CHARACTERS:
            errors.append(
                FieldError(f"spec.data.{name[:80]}", f"{len(text)} characters; at most {MAX_VALUE_CHARACTERS}")
            )
    if sum(len(text.encode("utf-8", "replace")) for text in values.values()) > MAX_TOTAL_BYTES:
        errors.append(FieldError("spec.data", f"more than {MAX_TOTAL_BYTES} bytes in all; make several secrets"))
    return errors


def validate(secret: Object[SecretSpec, ObjectStatus]) -> list[FieldError]:
    """Something must be in it. By the time this looks, the values are sealed."""
    if not secret.spec.sealed and not secret.spec.data:
        return [FieldError("spec.data", "is required: the values by name", "Required")]
    return []


def _names(obj: Wire) -> str:
    return ", ".join(entry["name"] for entry in obj["spec"].get("entries", []))


def _condition(obj: Wire) -> str:
    for condition in (obj.get("status") or {}).get("conditions", []):
        if condition["type"] == "Ready":
            return "True" if condition["status"] == "True" else str(condition["reason"])
    return ""


def describe(obj: Wire) -> list[Section]:
    """Names and sizes."""
    rows = tuple((e["name"], f"{e['sizeBytes']} bytes") for e in obj["spec"].get("entries", []))
    about = (("Description", str(obj["spec"].get("description") or "not stated")),)
    return [Section("Secret", about), Section("Values", rows)]


KIND = Kind(
    kind=KIND_NAME,
    plural="secrets",
    scope=Scope.DOMAIN,
    spec=SecretSpec,
    validate=validate,
    hidden=("spec.data", "spec.sealed"),
    columns=(
        Column("VALUES", lambda o: str(len(o["spec"].get("entries", [])))),
        Column("READY", _condition),
        Column("NAMES", _names, wide=True),
    ),
    describe=describe,
)
