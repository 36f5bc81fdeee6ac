"""The controllers that ship with Aspora: one line each; `module:function` builds it from its `ControllerParts`.

They act as `system-controller`: what that role may write stands in `access/defaults.py`.
"""

BUILTINS = {
    "skill": "aspora.controllers.skill:build",
    "revisions": "aspora.controllers.revisions:build",
    "garbage": "aspora.controllers.garbage:build",
    "keys": "aspora.controllers.keys:build",
    "health": "aspora.controllers.health:build",
}
