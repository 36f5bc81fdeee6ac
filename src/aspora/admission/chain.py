"""The order of admission: all that mutate, then all that validate; every problem is reported at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from aspora.admission.interface import AdmissionRequest, MutatingPlugin, Review, ValidatingPlugin, Wire
from aspora.apis.decode import invalid
from aspora.meta.errors import FieldError
from aspora.meta.surroundings import Surrounding


@dataclass(frozen=True, slots=True)
class Admitted:
    """A write that passed.

    Attributes:
        object: As it shall be stored; None for a delete.
        warnings: In the plugins' order.
        once: Shown in the answer, never stored.
        surroundings: What must still hold of other objects at the moment of the write.
    """

    object: Wire | None
    warnings: tuple[str, ...] = ()
    once: Mapping[str, str] = field(default_factory=dict[str, str])
    surroundings: tuple[Surrounding, ...] = ()


class Chain:
    """Plugins in order; one that both mutates and validates takes part in both rounds."""

    def __init__(self, plugins: Sequence[MutatingPlugin | ValidatingPlugin]) -> None:
        self._mutating = [p for p in plugins if isinstance(p, MutatingPlugin)]
        self._validating = [p for p in plugins if isinstance(p, ValidatingPlugin)]

    async def admit(self, request: AdmissionRequest) -> Admitted:
        """Run the whole chain.

        The first validating plugin (schema) vouches for the object's shape: when it finds errors, the others, which
        rely on the shape, are not asked.

        Raises:
            Invalid: With the problems of all plugins.
            StatusError: As a plugin raised it.
        """
        warnings: list[str] = []
        once: dict[str, str] = {}
        if request.new is not None:
            for plugin in self._mutating:
                mutation = await plugin.mutate(request)
                request = replace(request, new=mutation.object)
                warnings += mutation.warnings
                once.update(mutation.once)
        review = await self._validate(request)
        return Admitted(request.new, (*warnings, *review.warnings), once, tuple(review.surroundings))

    async def _validate(self, request: AdmissionRequest) -> Review:
        """All reviews as one, without errors."""
        errors: list[FieldError] = []
        warnings: list[str] = []
        surroundings: list[Surrounding] = []
        for i, plugin in enumerate(self._validating):
            review = await plugin.validate(request)
            errors += review.errors
            warnings += review.warnings
            surroundings += review.surroundings
            if errors and i == 0:
                break
        if errors:
            raise invalid(request.kind.kind, request.new or request.old or {}, errors)
        return Review(warnings=warnings, surroundings=surroundings)
