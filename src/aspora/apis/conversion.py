"""Objects that were stored under an older schema of their kind, in the form of today."""

from collections.abc import Iterable

from aspora.apis.kind import Kind, Wire
from aspora.telemetry.logs import get_logger

log = get_logger(__name__)


class KindForms:
    """The schema versions of all kinds (a `store.forms.Forms`)."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._converters = {kind.kind: kind.converters for kind in kinds if kind.converters}

    def newest(self, kind: str) -> int:
        """One more than there are converters."""
        return 1 + len(self._converters.get(kind, ()))

    def convert(self, kind: str, obj: Wire, *, version: int) -> Wire:
        """Step by step. What a step can't read is given as it is stored, and told: one odd object must not hide the
        others of its kind, and a repair must be able to reach it."""
        try:
            for step in self._converters.get(kind, ())[version - 1 :]:
                obj = step(obj)
        except Exception as e:  # noqa: BLE001 - a kind may come from another package
            name = obj.get("metadata", {}).get("name")
            log.error("object can't be converted", error=e, kind=kind, name=name, version=version)
        return obj
