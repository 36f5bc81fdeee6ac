"""The kinds that ship with Aspora: one line each."""

from aspora.apis.kind import Kind
from aspora.kit.registry import Registry

BUILTINS = {
    "Domain": "aspora.apis.domain:KIND",
    "Skill": "aspora.apis.skill:KIND",
    "Revision": "aspora.apis.revision:KIND",
    "Route": "aspora.apis.route:KIND",
    "Secret": "aspora.apis.secret:KIND",
    "Model": "aspora.apis.model:KIND",
    "Provider": "aspora.apis.provider:KIND",
    "ModelRouting": "aspora.apis.model_routing:KIND",
    "Role": "aspora.apis.role:KIND",
    "RoleBinding": "aspora.apis.role_binding:KIND",
    "ApiKey": "aspora.apis.api_key:KIND",
}


def load_kinds() -> Registry[Kind]:
    """All kinds, built-in and from entry points of the group `aspora.kinds` (entry name = kind name)."""
    return Registry(what="kind", builtins=BUILTINS, group="aspora.kinds")
