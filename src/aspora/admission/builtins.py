"""The plugins that ship with Aspora, in their order: one line each. Each target is called with `AdmissionPorts`."""

from collections.abc import Callable

from aspora.admission.chain import Chain
from aspora.admission.interface import AdmissionPorts, MutatingPlugin, ValidatingPlugin
from aspora.kit.registry import Registry

PluginFactory = Callable[[AdmissionPorts], MutatingPlugin | ValidatingPlugin]

BUILTINS = {
    "keys": "aspora.admission.keys:Keys",
    "secrets": "aspora.admission.secrets:Secrets",
    "defaulting": "aspora.admission.defaulting:Defaulting",
    "schema": "aspora.admission.schema:Schema",
    "inactive": "aspora.admission.inactive:Inactive",
    "artifacts": "aspora.admission.artifacts:Artifacts",
    "routes": "aspora.admission.routes:Routes",
    "owners": "aspora.admission.owners:Owners",
    "versions": "aspora.admission.versions:Versions",
    "escalation": "aspora.admission.escalation:Escalation",
}


def load_chain(ports: AdmissionPorts) -> Chain:
    """All plugins, built-in ones first, then those of the entry-point group `aspora.admission` by name."""
    registry: Registry[PluginFactory] = Registry(what="admission plugin", builtins=BUILTINS, group="aspora.admission")
    return Chain([factory(ports) for factory in registry])
