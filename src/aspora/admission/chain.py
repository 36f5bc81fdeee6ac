"""The order of admission: all that mutate, then all that validate; every problem is reported at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from aspora.admission.interface import AdmissionRequest, MutatingPlugin, ValidatingPlugin, Wire
from aspora.apis.decode import invalid
from aspora.meta.errors import FieldError


@dataclass(frozen=True, slots=True)
class Admitted:
    """A write that passed.

    Attributes:
        object: As it shall be stored; None for a delete.
        warnings: In the plugins' order.
        once: Shown in the answer, never stored.
    """

    object: Wire | None
    warnings: tuple[str, ...] = ()
    once: Mapping[str, str] = field(default_factory=dict[str, str])


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
        warnings += await self._validate(request)
        return Admitted(request.new, tuple(warnings), once)

    async def _validate(self, request: AdmissionRequest) -> list[str]:
        errors: list[FieldError] = []
        warnings: list[str] = []
        for i, plugin in enumerate(self._validating):
            review = await plugin.validate(request)
            errors += review.errors
            warnings += review.warnings
            if errors and i == 0:
                break
        if errors:
            raise invalid(request.kind.kind, request.new or request.old or {}, errors)
        return warnings
