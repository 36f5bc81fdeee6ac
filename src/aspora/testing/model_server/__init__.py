"""The scripted model server: a real HTTP server that speaks OpenAI's wire format and answers from a script.

It is no model and never pretends to be one: every response carries `x-aspora-scripted: true`, every completion has
`system_fingerprint: "scripted"`, and a request that no rule matches is refused with a 400 that says so. What belongs
here: the script's form, the wire format, faults. Never: guessing at answers, calls to other hosts.

`script` documents the script's form. As a process: `python -m aspora.testing.model_server --port 0 --script FILE`.
"""

from aspora.testing.model_server.script import Rule, Script, ScriptInvalid, load_script, parse_script
from aspora.testing.model_server.server import ModelServer, RecordedRequest

__all__ = ["ModelServer", "RecordedRequest", "Rule", "Script", "ScriptInvalid", "load_script", "parse_script"]
