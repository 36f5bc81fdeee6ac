"""The controllers that ship with Aspora: one line each; `module:function` builds it from a client and a clock."""

BUILTINS = {
    "skill": "aspora.controllers.skill:build",
}
