"""Write and test handlers for Aspora skills: a `SkillContext` goes in, a `SkillResult` comes out.

Law: the standard library only, and of that only what a job's start can afford (no `re`, `enum`, `json`, `typing`,
`dataclasses`, `inspect`, `logging` or `asyncio` at run time), because each job is a fresh process. Nothing here may
know how the host works beyond the wire protocol. What only tests use is imported when it is first asked for.
"""

from __future__ import annotations

from aspora_sdk.context import Log, SkillContext, SkillInput, Tools
from aspora_sdk.errors import CapabilityError, HandlerLoadError, InvalidResultError
from aspora_sdk.link import Call
from aspora_sdk.loading import skill_handler
from aspora_sdk.result import SkillResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aspora_sdk.cases import CaseFileError, SkillTestCase, load_test_case, load_test_cases
    from aspora_sdk.local import LoadedSkill, LogLine, load_skill

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

_FOR_TESTS = {
    "CaseFileError": "aspora_sdk.cases",
    "LoadedSkill": "aspora_sdk.local",
    "LogLine": "aspora_sdk.local",
    "SkillTestCase": "aspora_sdk.cases",
    "load_skill": "aspora_sdk.local",
    "load_test_case": "aspora_sdk.cases",
    "load_test_cases": "aspora_sdk.cases",
}


def __getattr__(name: str) -> object:
    """What only tests use; the import system asks here for names that the module does not have yet."""
    if name not in _FOR_TESTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(__import__(_FOR_TESTS[name], fromlist=[name]), name)
    globals()[name] = value
    return value
