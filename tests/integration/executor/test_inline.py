"""The inline class end to end: HTTP in, a real sandbox process, a recorded result out."""

import asyncio
import json
from typing import Any

ECHO = """
from aspora_sdk import SkillResult, skill_handler

@skill_handler
def handler(context):
    context.log.info("seen", keys=len(context.input.metadata))
    return SkillResult(success=True, message="hello " + context.input.user_message, data=dict(context.input.metadata))
"""


async def test_a_handler_runs_and_its_execution_says_everything(site: Any) -> None:
    revision = await site.add_skill("echo", ECHO)
    await site.start_executor()
    answer = await site.run("echo", {"b": 1, "a": "ü"}, message="world")
    assert answer.status == 201, answer.body
    obj = answer.body
    assert obj["spec"]["revision"] == revision
    assert obj["spec"]["class"] == "inline"
    assert obj["spec"]["input"] == {"userMessage": "world", "userId": "u1", "metadata": {"b": 1, "a": "ü"}}
    status = obj["status"]
    assert (status["state"], status["attempt"], status["driver"]) == ("Succeeded", 1, "process")
    assert status["result"] == {"success": True, "message": "hello world", "data": {"b": 1, "a": "ü"}, "confidence": None}
    assert list(status["result"]["data"]) == ["b", "a"]
    assert list(status["stages"]) == ["gateway", "record", "artifact", "process", "finish"]
    assert answer.headers["Location"].endswith(obj["metadata"]["name"])
    events = (await site.events.read(obj["metadata"]["name"]))
    assert [e.type for e in events] == ["Created", "Started", "Log", "HandlerEnded", "Finished"]
    assert events[2].data["fields"] == {"keys": 2}
