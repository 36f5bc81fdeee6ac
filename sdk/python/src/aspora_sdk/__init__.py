"""Write and test handlers for Aspora skills: a `SkillContext` goes in, a `SkillResult` comes out.

Law: the standard library only, and of that only what a job's start can afford (no `typing`, `dataclasses`, `inspect`,
`logging` or `asyncio` at run time), because each job is a fresh process. Nothing here may know how the host works
beyond the wire protocol.
"""

from aspora_sdk.cases import CaseFileError, SkillTestCase, load_test_case, load_test_cases
from aspora_sdk.context import Log, SkillContext, SkillInput, Tools
from aspora_sdk.errors import CapabilityError, HandlerLoadError, InvalidResultError
from aspora_sdk.link import Call
from aspora_sdk.loading import skill_handler
from aspora_sdk.local import LoadedSkill, LogLine, load_skill
from aspora_sdk.result import SkillResult

__all__ = [
    "Call",
    "CapabilityError",
    "CaseFileError",
    "HandlerLoadError",
    "InvalidResultError",
    "LoadedSkill",
    "Log",
    "LogLine",
    "SkillContext",
    "SkillInput",
    "SkillResult",
    "SkillTestCase",
    "Tools",
    "load_skill",
    "load_test_case",
    "load_test_cases",
    "skill_handler",
]
