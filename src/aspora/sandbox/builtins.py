"""The table of sandbox drivers: a new one is one folder and one line here. Other packages add theirs by entry point."""

from collections.abc import Callable, Mapping

from aspora.kit.registry import Registry
from aspora.sandbox.interface import SandboxDriver

BUILTINS: Mapping[str, str] = {
    "process": "aspora.sandbox.process.driver:ProcessDriver",
}

drivers: Registry[Callable[..., SandboxDriver]] = Registry(
    what="sandbox driver", builtins=BUILTINS, group="aspora.sandbox_drivers"
)
"""Drivers by name. An unknown name is an error that lists the known: nothing runs in a weaker driver instead."""
