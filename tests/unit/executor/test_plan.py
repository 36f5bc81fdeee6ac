"""Plans: a revision read once, kept, asked for again while the gateway does not answer."""

from collections.abc import Mapping
from typing import Any

import pytest

from aspora.executor.failures import ExecutionFailed
from aspora.executor.plan import Plans, plan_of
from aspora.meta.errors import NotFound, StatusError, Unavailable

SPEC = {
    "skillMd": {"name": "echo", "description": "d"},
    "artifact": {"digest": "sha256:" + "0" * 64, "sizeBytes": 1, "fileCount": 1},
    "runtime": {"language": "python", "entryPoint": "code/handler.py", "timeoutSeconds": 7},
}
REVISION = {
    "metadata": {"name": "echo-1"},
    "spec": {"skill": "echo", "version": "1.0.0", "digest": "sha256:" + "1" * 64, "skillSpec": SPEC},
}


class Revisions:
    def __init__(self, *answers: Mapping[str, Any] | StatusError) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def load(self, domain: str, name: str) -> Mapping[str, Any]:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, StatusError):
            raise answer
        return answer


def test_a_plan_says_what_to_run_within_which_limits() -> None:
    plan = plan_of(REVISION)
    assert (plan.entry_point, plan.limits.timeout_seconds, plan.tools) == ("code/handler.py", 7.0, {"read"})
    assert not plan.is_agent
    markdown = {**SPEC, "runtime": {"language": "markdown"}}
    assert plan_of({**REVISION, "spec": {**REVISION["spec"], "skillSpec": markdown}}).is_agent


async def test_a_revision_is_asked_for_once_and_the_least_used_is_forgotten() -> None:
    revisions = Revisions(REVISION)
    plans = Plans(revisions, capacity=2)
    for name in ("a", "b", "a", "c", "a", "b"):
        await plans.load("test", name, within_seconds=1)
    assert revisions.asked == 4


async def test_a_gateway_that_does_not_answer_is_asked_again_and_a_missing_revision_is_final() -> None:
    plans = Plans(Revisions(Unavailable("down"), Unavailable("down"), REVISION), retry_seconds=0.001)
    assert (await plans.load("test", "a", within_seconds=5)).skill == "echo"
    for answer, reason in ((NotFound("gone"), "RevisionNotFound"), (Unavailable("down"), "Unavailable")):
        with pytest.raises(ExecutionFailed) as caught:
            await Plans(Revisions(answer), retry_seconds=0.001).load("test", "a", within_seconds=0.01)
        assert caught.value.reason == reason
