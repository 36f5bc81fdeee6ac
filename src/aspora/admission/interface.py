"""What an admission plugin is. A new one is a small file and a line in `admission/builtins.py`, or an entry point."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable

from aspora.access.interface import Caller, ObjectReader
from aspora.apis.kind import Kind
from aspora.meta.errors import FieldError, Unavailable
from aspora.meta.surroundings import Surrounding

Wire = Mapping[str, Any]
Operation = Literal["create", "update", "update_status", "delete"]


@dataclass(frozen=True, slots=True)
class AdmissionRequest:
    """One write on its way to the store.

    Attributes:
        operation: What is wanted; a patch arrives as the update it amounts to.
        kind: Of the object.
        domain: "" for a cluster-wide object.
        name: Of the object.
        old: As stored now; None for a create.
        new: As it would be stored; None for a delete.
        caller: Who wants it.
        dry_run: Nothing will be stored: keep no trace of the request.
        now: The write's instant.
    """

    operation: Operation
    kind: Kind
    domain: str
    name: str
    old: Wire | None
    new: Wire | None
    caller: Caller
    dry_run: bool
    now: datetime


@dataclass(frozen=True, slots=True)
class Mutation:
    """What a mutating plugin makes of the object.

    Attributes:
        object: The new form; the given one when nothing changes.
        warnings: For the caller's eyes, each one sentence.
        once: What the answer shows and nothing ever stores (a freshly minted key).
    """

    object: Wire
    warnings: tuple[str, ...] = ()
    once: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Review:
    """What a validating plugin found; no errors means yes.

    Attributes:
        surroundings: What must still hold of other objects at the moment of the write.
    """

    errors: Sequence[FieldError] = ()
    warnings: Sequence[str] = ()
    surroundings: Sequence[Surrounding] = ()


class UploadedArtifacts(Protocol):
    """Gives the artifacts that have been uploaded (an `ArtifactStore` is one)."""

    async def get(self, digest: str) -> bytes:
        """The artifact's bytes.

        Raises:
            NotFound: Nothing is kept under that digest.
            Invalid: What is kept does not have that digest, or `digest` is not one.
            Unavailable: The store can't be read now.
        """
        ...


class Sealer(Protocol):
    """Turns the values of secrets into what may be stored (`sealing.keyring.Keyring` is one)."""

    def seal(self, values: Mapping[str, str], *, place: str) -> str:
        """The values, sealed for one place.

        Raises:
            Unavailable: There is no right key; says what would do.
        """
        ...

    def holds(self, sealed: str, values: Mapping[str, str], *, place: str) -> bool:
        """Whether these very values are sealed there already.

        Raises:
            Unavailable: There is no right key; says what would do.
        """
        ...


class NoSealer:
    """For a process that has no key: no secret can be written."""

    def seal(self, values: Mapping[str, str], *, place: str) -> str:
        """Refuses."""
        raise Unavailable("this Aspora has no secret key; start it with one")

    def holds(self, sealed: str, values: Mapping[str, str], *, place: str) -> bool:
        """Refuses."""
        raise Unavailable("this Aspora has no secret key; start it with one")


@dataclass(frozen=True, slots=True)
class AdmissionPorts:
    """What plugins may read; each plugin's factory gets it."""

    reader: ObjectReader
    artifacts: UploadedArtifacts
    sealer: Sealer = field(default_factory=NoSealer)


@runtime_checkable
class MutatingPlugin(Protocol):
    """Changes objects before they are checked. Must be idempotent: its own output passes unchanged."""

    name: str

    async def mutate(self, request: AdmissionRequest) -> Mutation:
        """The object as it shall be stored; called for creates, updates and status updates, never for deletes.

        Must cope with any JSON object: the shape has not been checked yet.

        Raises:
            StatusError: The write is refused outright.
        """
        ...


@runtime_checkable
class ValidatingPlugin(Protocol):
    """Says yes or no to the final form."""

    name: str

    async def validate(self, request: AdmissionRequest) -> Review:
        """Every problem found; the object's shape has passed the schema plugin.

        Raises:
            StatusError: The write is refused for a reason that no field carries (Forbidden, NotFound).
        """
        ...
