"""The controllers that ship with Aspora: one line each; `module:function` builds it from a client and a clock.

They act as `system-controller`: what that role may write stands in `access/defaults.py`.
"""

BUILTINS = {
    "skill": "aspora.controllers.skill:build",
}
