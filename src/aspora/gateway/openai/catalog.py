"""The catalogue of models as the gateway's view of the objects has it, made anew when one has changed."""

from collections.abc import Callable, Mapping
from typing import Final

from aspora.access.interface import ObjectReader
from aspora.apis.model_routing import DEFAULT_NAME
from aspora.models.catalog import Catalog
from aspora.models.choosing import routing_of

KINDS: Final = ("Model", "Provider", "ModelRouting")


class ViewCatalog:
    """Holds a catalogue; `refresh` before it is asked for.

    Args:
        reader: Gives the objects.
        version: A number that changes with any object of `KINDS`; None while that isn't known.
        environment: Where providers find their URLs and keys.
    """

    def __init__(
        self, reader: ObjectReader, *, version: Callable[[], int | None], environment: Mapping[str, str]
    ) -> None:
        self._reader = reader
        self._version = version
        self._environment = environment
        self._catalog: Catalog | None = None
        self._made_from: int | None = None
        self.routing = routing_of(None)
        """How models are chosen, as of the last refresh."""

    async def refresh(self) -> Catalog:
        """The catalogue as it is now.

        Raises:
            Unavailable: The objects can't be read now.
        """
        version = self._version()
        if self._catalog is None or version is None or version != self._made_from:
            models, providers, routings = [await self._reader.list(kind, domain="") for kind in KINDS]
            self.routing = routing_of(next((o for o in routings if o["metadata"]["name"] == DEFAULT_NAME), None))
            self._catalog = Catalog(models, providers, environment=self._environment)
            self._made_from = version
        return self._catalog

    def __call__(self) -> Catalog:
        """The one of the last refresh."""
        if self._catalog is None:
            raise RuntimeError("refresh comes first")
        return self._catalog
