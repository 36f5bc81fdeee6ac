"""The roles that ship with Aspora, as Role objects made at the first start; people may edit them afterwards.

A cluster-wide Role is a list of rules; a RoleBinding says to whom and where they apply.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from aspora.access.interface import ANY, ANY_STATUS
from aspora.meta.errors import API_VERSION

PLATFORM_ADMIN = "platform-admin"
SYSTEM_EXECUTOR = "system-executor"
SYSTEM_CONTROLLER = "system-controller"
READ = ("get", "list", "watch")
WRITE = ("create", "update", "patch", "delete")


def _rule(verbs: Sequence[str], kinds: Sequence[str]) -> dict[str, Any]:
    return {"verbs": list(verbs), "kinds": list(kinds)}


ROLE_RULES: Mapping[str, tuple[str, Sequence[Mapping[str, Any]]]] = {
    PLATFORM_ADMIN: ("Everything, everywhere it is bound.", [_rule([ANY], [ANY, ANY_STATUS])]),
    "domain-owner": ("Everything in a domain, its roles and keys included.", [_rule([ANY], [ANY])]),
    "author": (
        "Writes skills, releases them and looks at how they run.",
        [
            _rule(READ, [ANY]),
            _rule(WRITE, ["skills", "routes"]),
            _rule(["get", "create"], ["artifacts"]),
            _rule(["create", "cancel"], ["executions"]),
            _rule(["create"], ["calls"]),
        ],
    ),
    "operator": (
        "Keeps skills running: shifts traffic, cancels executions, reads everything.",
        [
            _rule(READ, [ANY]),
            _rule(["update", "patch"], ["routes"]),
            _rule(["create", "cancel"], ["executions"]),
            _rule(["create"], ["calls"]),
        ],
    ),
    "viewer": ("Reads everything.", [_rule(READ, [ANY])]),
    "end-user": (
        "Talks to skills.",
        [_rule(["get", "list"], ["skills"]), _rule(["create", "get"], ["executions"])],
    ),
    "agent": (
        "A machine that runs skills and follows what it started.",
        [
            _rule(READ, ["skills"]),
            _rule(["create", "get", "list", "watch", "cancel"], ["executions"]),
            _rule(["create"], ["calls"]),
        ],
    ),
    SYSTEM_EXECUTOR: (
        "Aspora's executors: read what they run.",
        [
            _rule(
                READ,
                [
                    "domains",
                    "skills",
                    "revisions",
                    "routes",
                    "models",
                    "providers",
                    "modelroutings",
                    "artifacts",
                    "executions",
                ],
            )
        ],
    ),
    SYSTEM_CONTROLLER: (
        "Aspora's controllers: read everything, make what follows from it, say so in its status, collect garbage.",
        [
            _rule(READ, [ANY]),
            _rule(WRITE, ["revisions", "routes"]),
            _rule(["update", "delete"], [ANY]),
            _rule(["create"], ["events"]),
            _rule(["update", "patch"], [ANY_STATUS]),
        ],
    ),
}


def default_roles() -> list[dict[str, Any]]:
    """The Role objects, cluster-wide."""
    return [
        {
            "apiVersion": API_VERSION,
            "kind": "Role",
            "metadata": {"name": name},
            "spec": {"description": description, "rules": [dict(rule) for rule in rules]},
        }
        for name, (description, rules) in ROLE_RULES.items()
    ]
