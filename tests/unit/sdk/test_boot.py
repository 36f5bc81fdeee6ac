"""The handler wire protocol, seen from the host's end of the pipes."""

import json
from collections.abc import Callable
from typing import Any

import pytest

Start = Callable[..., Any]
Run = Callable[..., dict[str, Any]]

HEAD = "from aspora_sdk import SkillContext, SkillResult, CapabilityError, skill_handler\n"
OK = HEAD + "def handler(context):\n    return SkillResult(success=True, message='fine')\n"


def returning(expression: str) -> str:
    return f"{HEAD}def handler(context):\n    return {expression}\n"


def test_a_plain_handler_gets_the_whole_context_and_its_result_comes_back(run: Run) -> None:
    source = HEAD + (
        "@skill_handler\n"
        "def anything(context):\n"
        "    i = context.input\n"
        "    data = {'ids': [context.execution_id, context.skill, context.domain, context.revision],\n"
        "            'input': [i.user_message, i.user_id, i.domain, i.metadata], 'config': context.config,\n"
        "            'late': context.remaining_seconds() > 30}\n"
        "    return SkillResult(True, 'grüß dich ☃', data, 0.5)\n"
    )
    context = {
        "execution_id": "EXEC-1",
        "skill": "s",
        "domain": "d",
        "revision": "r",
        "deadline_seconds": 30.0,
        "input": {"user_message": "é\u2028", "user_id": "u", "domain": "d", "metadata": {"a": [1]}},
        "config": {"k": True},
    }
    answer = run(source, context)
    assert answer == {
        "jsonrpc": "2.0",
        "id": 1,
        "result": {
            "success": True,
            "message": "grüß dich ☃",
            "confidence": 0.5,
            "data": {
                "ids": ["EXEC-1", "s", "d", "r"],
                "input": ["é\u2028", "u", "d", {"a": [1]}],
                "config": {"k": True},
                "late": False,
            },
        },
    }


@pytest.mark.parametrize(
    ("source", "kind", "words"),
    [
        ("import nonesuch\n", "ModuleNotFoundError", "nonesuch"),
        ("x = 1\n", "HandlerLoadError", "@skill_handler"),
        ("def handler(:\n", "SyntaxError", "handler.py, line 1"),
        ("handler = 7\n", "HandlerLoadError", "no handler"),
        ("raise SystemExit(3)\n", "SystemExit", "3"),
        (HEAD + "@skill_handler\ndef a(c): ...\n@skill_handler\ndef b(c): ...\n", "HandlerLoadError", "a, b"),
    ],
)
def test_a_module_that_does_not_load_is_told_as_such(run: Run, source: str, kind: str, words: str) -> None:
    error = run(source)["error"]
    assert error["code"] == -32001
    assert error["data"]["type"] == kind
    assert words in error["message"]


@pytest.mark.parametrize("entry_point", ["code/none.py", "../outside.py", "/etc/hostname", "code", "code/link.py"])
def test_an_entry_point_must_be_a_file_of_the_artifact(start: Start, entry_point: str) -> None:
    job = start(OK, {"../outside.py": OK})
    (job.folder / "code" / "link.py").symlink_to("../../outside.py")
    job.execute(entry_point=entry_point)
    error = job.answer()["error"]
    assert error["code"] == -32001
    assert repr(entry_point) in error["message"]


def test_an_entry_point_named_like_a_loaded_module_is_refused(start: Start) -> None:
    job = start(None, {"json.py": OK})
    job.execute(entry_point="json.py")
    assert "'json'" in job.answer()["error"]["message"]


def test_a_handler_that_raises_is_told_with_its_own_frames_and_without_machine_paths(start: Start) -> None:
    job = start(HEAD + "def deep(): raise KeyError('zloty')\ndef handler(context):\n    deep()\n")
    job.execute()
    error = job.answer()["error"]
    assert error["code"] == -32000
    assert error["message"] == "KeyError: 'zloty'"
    assert error["data"]["type"] == "KeyError"
    assert 'File "code/handler.py", line 2, in deep' in error["data"]["traceback"]
    assert str(job.folder) not in error["data"]["traceback"]
    assert "running.py" not in error["data"]["traceback"]


def test_exit_recursion_and_endless_messages_are_bounded_answers(run: Run) -> None:
    assert run(HEAD + "import sys\ndef handler(c): sys.exit(5)\n")["error"]["data"]["type"] == "SystemExit"
    assert run(HEAD + "def handler(c): return handler(c)\n")["error"]["data"]["type"] == "RecursionError"
    error = run(HEAD + "def handler(c): raise ValueError('ü' * 100000 + '\\udc80')\n")["error"]
    assert len(error["message"]) <= 2000
    assert len(error["data"]["traceback"].encode()) <= 8192


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("None", "returned None"),
        ("{'success': True}", "returned a dict"),
        ("SkillResult(1, 'm')", "success is a int"),
        ("SkillResult(True, 3)", "message is a int"),
        ("SkillResult(True, 'm', [1])", "data is a list"),
        ("SkillResult(True, 'm', {'a': [1, float('nan')]})", "data.a[1] is nan"),
        ("SkillResult(True, 'm', {'a': {'b': float('inf')}})", "data.a.b is inf"),
        ("SkillResult(True, 'm', {'a': {1, 2}})", "data.a is a set"),
        ("SkillResult(True, 'm', {1: 2})", "key 1"),
        ("SkillResult(True, '\\udc80')", "message is"),
        ("SkillResult(True, 'm', {}, 1.5)", "confidence is 1.5"),
        ("SkillResult(True, 'm', {}, True)", "confidence is a bool"),
        ("SkillResult(True, 'm', {}, float('nan'))", "confidence is nan"),
        ("SkillResult(True, 'm', (lambda d: d.update(me=d) or d)({}))", "contains itself"),
    ],
)
def test_a_result_that_cannot_travel_is_an_invalid_result(run: Run, expression: str, words: str) -> None:
    error = run(returning(expression))["error"]
    assert error["code"] == -32002
    assert words in error["message"]


def test_prints_and_reads_of_the_handler_do_not_touch_the_wire(start: Start) -> None:
    job = start(
        HEAD + "import os, sys, subprocess\n"
        "print('at import')\n"
        "def handler(context):\n"
        '    print(\'{"jsonrpc": "2.0"}\')\n'
        "    os.write(1, b'raw\\n')\n"
        "    subprocess.run(['echo', 'from a child'], check=True)\n"
        "    return SkillResult(True, repr(sys.stdin.read()))\n"
    )
    job.execute()
    assert job.answer()["result"]["message"] == "''"
    assert job.stderr.split("\n") == ["at import", '{"jsonrpc": "2.0"}', "raw", "from a child", ""]


@pytest.mark.parametrize("head", ["", "import asyncio\n"], ids=["no-loop", "asyncio"])
def test_async_handlers_call_the_host(start: Start, head: str) -> None:
    job = start(
        head + HEAD + "@skill_handler\n"
        "async def run(context):\n"
        "    text = await context.tools.read('references/x.md')\n"
        "    score = await context.apis.trm.check(transaction_id='t1')\n"
        "    told = await context.apis['some-api']['an-op']()\n"
        "    model = await context.models.generate(prompt='p')\n"
        "    memory = await context.memory.recall(query='q')\n"
        "    return SkillResult(True, text, {'all': [score, told, model, memory]})\n"
    )
    job.execute()
    answers = {
        "tools.read": lambda path: f"text of {path}",
        "apis.trm.check": lambda transaction_id: 0.9,
        "apis.some-api.an-op": lambda: None,
        "models.generate": lambda prompt: {"text": prompt},
        "memory.recall": lambda query: [query],
    }
    result = job.answer(answers)["result"]
    assert result["message"] == "text of references/x.md"
    assert result["data"]["all"] == [0.9, None, {"text": "p"}, ["q"]]
    assert [call["id"] for call in job.calls] == ["c1", "c2", "c3", "c4", "c5"]
    assert job.calls[1] == {
        "jsonrpc": "2.0",
        "id": "c2",
        "method": "apis.trm.check",
        "params": {"transaction_id": "t1"},
    }


def test_nothing_heavy_is_loaded_for_a_handler_that_does_not_import_it(run: Run) -> None:
    source = (
        HEAD + "import sys\nasync def handler(context):\n"
        "    heavy = {'asyncio', 'typing', 'dataclasses', 'inspect', 'logging', 'traceback', 'threading', 'pathlib',\n"
        "             're', 'enum', 'json', 'functools', 'collections', 'importlib', 'warnings'}\n"
        "    return SkillResult(True, ' '.join(sorted(heavy & set(sys.modules))))\n"
    )
    assert run(source)["result"]["message"] == ""


def test_a_plain_handler_waits_for_its_calls_from_several_threads_too(run: Run) -> None:
    source = (
        HEAD + "from concurrent.futures import ThreadPoolExecutor\n"
        "def handler(context):\n"
        "    first = context.tools.read('a').wait()\n"
        "    with ThreadPoolExecutor(8) as pool:\n"
        "        rest = list(pool.map(lambda n: context.apis.x.double(n=n).wait(), range(50)))\n"
        "    return SkillResult(True, first, {'rest': rest})\n"
    )
    answers = {"tools.read": lambda path: path.upper(), "apis.x.double": lambda n: 2 * n}
    result = run(source, None, answers)["result"]
    assert result["message"] == "A"
    assert result["data"]["rest"] == [2 * n for n in range(50)]


@pytest.mark.parametrize(
    "gathering",
    [
        "await asyncio.gather(*(context.apis.x.echo(n=n) for n in range(3)))",
        "[await t for t in [asyncio.create_task(context.apis.x.echo(n=n)) for n in range(3)]]",
        "await together(context)",
    ],
    ids=["gather", "create_task", "task-group"],
)
def test_asyncio_puts_several_calls_in_flight(start: Start, gathering: str) -> None:
    job = start(
        HEAD + "import asyncio\n"
        "async def together(context):\n"
        "    async with asyncio.TaskGroup() as group:\n"
        "        tasks = [group.create_task(context.apis.x.echo(n=n)) for n in range(3)]\n"
        "    return [task.result() for task in tasks]\n"
        f"async def handler(context):\n    return SkillResult(True, 'm', {{'n': {gathering}}})\n"
    )
    job.execute()
    calls = [job.receive() for _ in range(3)]  # all three are out before the first answer
    replies = [{"jsonrpc": "2.0", "id": call["id"], "result": call["params"]["n"] * 10} for call in reversed(calls)]
    job.write("\n".join(json.dumps(reply) for reply in replies))
    assert job.answer()["result"]["data"] == {"n": [0, 10, 20]}


def test_under_asyncio_a_timeout_gives_up_one_call_and_the_next_still_works(start: Start) -> None:
    job = start(
        HEAD + "import asyncio\n"
        "async def handler(context):\n"
        "    try:\n"
        "        await asyncio.wait_for(context.apis.x.slow(), 0.01)\n"
        "    except TimeoutError:\n"
        "        return SkillResult(True, await context.tools.read('f'))\n"
    )
    job.execute()
    slow, read = job.receive(), job.receive()
    job.send({"jsonrpc": "2.0", "id": slow["id"], "result": "too late"})
    job.send({"jsonrpc": "2.0", "id": read["id"], "result": "x" * 300_000})
    assert job.answer()["result"]["message"] == "x" * 300_000


@pytest.mark.parametrize("head", ["", "import asyncio\n"], ids=["no-loop", "asyncio"])
def test_a_refused_call_is_an_error_the_handler_can_read(run: Run, head: str) -> None:
    source = (
        head + HEAD + "async def handler(context):\n"
        "    try:\n"
        "        await context.tools.delete(path='x')\n"
        "    except CapabilityError as error:\n"
        "        return SkillResult(False, error.message, {'reason': error.reason, 'method': error.method})\n"
    )
    result = run(source)["result"]
    assert result["message"] == "no method 'tools.delete'"
    assert result["data"] == {"reason": "MethodNotAllowed", "method": "tools.delete"}


def test_a_refusal_the_handler_does_not_catch_keeps_its_reason(run: Run) -> None:
    error = run(HEAD + "def handler(c):\n    c.apis.a.b().wait()\n")["error"]
    assert error["code"] == -32000
    assert error["data"]["type"] == "CapabilityError"
    assert error["data"]["reason"] == "MethodNotAllowed"


def test_the_code_names_the_reason_when_the_host_gives_none(start: Start) -> None:
    job = start(HEAD + "def handler(c):\n    c.tools.read('x').wait()\n")
    job.execute()
    call = job.receive()
    job.send({"jsonrpc": "2.0", "id": call["id"], "error": {"code": -32012, "message": "spent"}})
    assert job.answer()["error"]["data"]["reason"] == "BudgetExceeded"


@pytest.mark.parametrize("head", ["", "import asyncio\n"], ids=["no-loop", "asyncio"])
def test_a_call_made_but_never_awaited_fails_the_job(run: Run, head: str) -> None:
    source = (
        head
        + HEAD
        + "async def handler(context):\n    context.apis.db.block(id='t')\n    return SkillResult(True, 'x')\n"
    )
    error = run(source)["error"]
    assert error["code"] == -32002
    assert "apis.db.block" in error["message"]
    assert "await" in error["message"]


def test_a_call_is_used_once(run: Run) -> None:
    source = HEAD + "def handler(c):\n    r = c.tools.read('x')\n    r.wait()\n    r.wait()\n"
    assert "already used" in run(source, None, {"tools.read": lambda path: ""})["error"]["message"]


def test_waiting_inside_a_running_loop_is_refused(run: Run) -> None:
    source = HEAD + "import asyncio\nasync def handler(c):\n    c.tools.read('x').wait()\n"
    assert "await it instead" in run(source)["error"]["message"]


def test_awaiting_something_foreign_without_asyncio_says_what_to_import(run: Run) -> None:
    source = (
        HEAD + "class Foreign:\n    def __await__(self):\n        yield 1\n"
        "async def handler(context):\n    await Foreign()\n"
    )
    assert "import asyncio" in run(source)["error"]["message"]


def test_log_lines_are_notifications_whatever_their_fields_are(start: Start) -> None:
    job = start(
        HEAD + "def handler(context):\n"
        "    context.log.info('made', count=3, odd=float('nan'), thing={1, }, bad='\\udc80')\n"
        "    context.log.error('bad \\udc80')\n"
        "    return SkillResult(True, 'm')\n"
    )
    job.execute()
    job.answer()
    first, second = (line["params"] for line in job.notifications)
    assert first == {
        "level": "info",
        "message": "made",
        "fields": {"count": 3, "odd": "nan", "thing": "{1}", "bad": "'\\udc80'"},
    }
    assert second == {"level": "error", "message": "bad \\udc80", "fields": {}}


def test_imports_come_from_the_entry_folder_then_the_artifact_and_never_from_beside_the_sdk(run: Run) -> None:
    source = (
        HEAD + "import sys\nfrom near import NEAR\nfrom shared.money import FAR\n"
        "def handler(context):\n"
        "    try:\n        import aspora\n"
        "    except ImportError:\n"
        "        return SkillResult(True, NEAR + FAR, {'path': sys.path[:2], 'n': len(sys.path)})\n"
    )
    files = {"code/near.py": "NEAR = 'near'\n", "shared/money.py": "FAR = 'far'\n"}
    result = run(source, None, None, **files)["result"]
    assert result["message"] == "nearfar"
    code, root = result["data"]["path"]
    assert code == root + "/code"


def test_no_bytecode_is_written_into_the_artifact(start: Start) -> None:
    job = start(HEAD + "import near\n" + OK, {"code/near.py": ""})
    job.execute()
    job.answer()
    assert not list(job.folder.rglob("__pycache__"))


def test_left_over_threads_do_not_keep_the_process(run: Run) -> None:
    source = (
        HEAD + "import threading\n"
        "def handler(context):\n"
        "    threading.Thread(target=threading.Event().wait).start()\n"
        "    return SkillResult(True, 'm')\n"
    )
    assert run(source)["result"]["success"] is True


@pytest.mark.parametrize("head", ["", "import asyncio\n"], ids=["no-loop", "asyncio"])
def test_a_host_that_goes_away_is_unavailable(start: Start, head: str) -> None:
    job = start(head + HEAD + "async def handler(context):\n    await context.tools.read('x')\n")
    job.execute()
    job.receive()
    job.close_stdin()
    assert job.answer()["error"]["data"]["reason"] == "Unavailable"


def test_requests_that_are_none_are_answered(start: Start) -> None:
    job = start(OK)
    job.write("{nonsense")
    assert job.answer()["error"]["code"] == -32700
    job = start(OK)
    job.send({"jsonrpc": "2.0", "id": 1, "method": "dance"})
    assert job.answer()["error"]["code"] == -32601
    job = start(OK)
    job.close_stdin()
    assert job.receive() is None
    job.finish()
