"""The table of sandbox drivers. A new driver is one folder and one line here; other packages add theirs by entry point."""

from collections.abc import Callable, Mapping

from aspora.kit.registry import Registry
from aspora.sandbox.interface import SandboxDriver

BUILTINS: Mapping[str, str] = {
    "process": "aspora.sandbox.process.driver:ProcessDriver",
}

drivers: Registry[Callable[..., SandboxDriver]] = Registry(
    what="sandbox driver", builtins=BUILTINS, group="aspora.sandbox_drivers"
)
"""Drivers by name. An unknown name is an error that lists the known ones: nothing is ever run in a weaker driver instead."""
