"""The connectors that are installed beside Aspora, each made at its first call."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from aspora.executor.interface import Connector, ConnectorCall, OperationTraits
from aspora.kit.registry import Registry, UnknownExtension
from aspora.meta.errors import NotFound

GROUP: Final = "aspora.connectors"


class InstalledConnectors:
    """The `ConnectorCaller` over entry points.

    Args:
        registry: Classes by connector name.
    """

    def __init__(self, registry: Registry[Callable[[], Connector]] | None = None) -> None:
        self._registry: Registry[Callable[[], Connector]] = registry or Registry(
            what="connector", builtins={}, group=GROUP
        )
        self._made: dict[str, Connector] = {}
        self._making = asyncio.Lock()

    async def traits(self, connector: str, operation: str) -> OperationTraits:
        """What is known of an operation; see `ConnectorCaller`."""
        return (await self._find(connector)).traits(operation)

    async def call(self, call: ConnectorCall) -> Any:
        """Make the call; see `Connector.call`."""
        return await (await self._find(call.connector)).call(call)

    async def close(self) -> None:
        """Close those that were made."""
        made, self._made = self._made, {}
        for connector in made.values():
            await connector.close()

    async def _find(self, name: str) -> Connector:
        known = self._made.get(name)
        if known is not None:
            return known
        async with self._making:  # an import may take its time, and must happen once
            try:
                make = await asyncio.to_thread(self._registry.load, name)
            except UnknownExtension:
                raise NotFound(self._unknown(name)) from None
            return self._made.setdefault(name, make())

    def _unknown(self, name: str) -> str:
        known = ", ".join(sorted(self._registry.names())) or "none is installed"
        return (
            f"unknown connector {name[:127]!r}; known: {known}; install a package on the executors that has an entry"
            f" point of that name in the group {GROUP!r}"
        )
