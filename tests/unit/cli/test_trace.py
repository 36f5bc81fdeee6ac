"""The trace of an execution: what broke, and where, stands in it."""

from typing import Any

from aspora.cli.trace import failure_lines, tree

AT = "2026-11-02T10:00:00.000000Z"
TRACEBACK = 'Traceback (most recent call last):\n  File "code/handler.py", line 7, in handler\nKeyError: \x1b[2Jgone\n'


def execution(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "EXEC-1", "domain": "hr", "creationTimestamp": AT},
        "spec": {"skill": "net", "revision": "net-1", "class": "inline"},
        "status": {"state": "Failed", "reason": "HandlerRaised", "message": "KeyError: 'gone'", **status},
    }


def test_where_a_handler_broke_stands_below_its_failure() -> None:
    failed = {
        "type": "HandlerFailed",
        "at": AT,
        "data": {"reason": "HandlerRaised", "details": {"traceback": TRACEBACK}},
    }
    finished = {"type": "Finished", "at": AT, "data": {"state": "Failed"}}
    lines = tree(execution(), [failed, finished])
    assert lines[1].endswith("HandlerFailed  reason=HandlerRaised")
    assert [line[0] for line in lines[2:5]] == ["│", "│", "│"]
    assert lines[3].endswith('File "code/handler.py", line 7, in handler')
    assert lines[4].endswith(r"KeyError: \x1b[2Jgone"), "nothing that is stored drives the terminal"
    assert lines[5].startswith("└─")


def test_a_failed_execution_says_why_and_a_good_one_has_nothing_to_say() -> None:
    assert failure_lines(execution(message="no model\nset one")) == ["   because: no model", "            set one"]
    assert failure_lines(execution(state="Succeeded")) == []
    assert failure_lines(execution(message="")) == []
