"""Handlers that behave and misbehave, for the sandbox conformance suite.

All are harmless by construction, should a driver fail to hold them: they write in their own folder only, start a
bounded number of processes, use a bounded amount of memory, and end by themselves within `MAX_LIFE_SECONDS`.
"""

from collections.abc import Mapping

MAX_LIFE_SECONDS = 30

_START = f'''
import asyncio, fcntl, json, os, signal, stat, subprocess, sys, threading, time
from aspora_sdk import SkillResult, skill_handler

signal.alarm({MAX_LIFE_SECONDS})

def done(**data):
    return SkillResult(success=True, message="done", data=data)

def wire_fd():
    """The pipe or socket to the host: neither stdin nor where print goes."""
    printed = os.fstat(2)
    for fd in range(3, 64):
        try:
            found = os.fstat(fd)
        except OSError:
            continue
        kind, mode = stat.S_IFMT(found.st_mode), fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE
        if kind == stat.S_IFIFO and mode == os.O_WRONLY and found.st_ino != printed.st_ino:
            return fd
        if kind == stat.S_IFSOCK:
            return fd
    raise RuntimeError("no wire found")

def sleeper(marker, detach=False):
    """A process that only sleeps, found from outside by its marker; detached: no parent, a session of its own."""
    code = "import sys, time; time.sleep({MAX_LIFE_SECONDS})"
    command = [sys.executable, "-I", "-S", "-c", code, marker]
    if not detach:
        return subprocess.Popen(command)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.chdir("/")
            for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            os.execve(command[0], command, dict(os.environ, HOME="/"))
        os._exit(0)
    os.wait()

def mortal(pid):
    """Have a process that can't end by itself ended at the end of all."""
    handle = os.pidfd_open(pid)
    if os.fork() == 0:
        time.sleep({MAX_LIFE_SECONDS})
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        os._exit(0)
'''

_BODIES: Mapping[str, str] = {
    "echo": """
@skill_handler
def handler(context):
    print("printed by the handler")
    given = context.input
    return SkillResult(
        success=True,
        message=given.user_message,
        data={"metadata": given.metadata, "user_id": given.user_id, "cwd": os.getcwd()},
        confidence=0.5,
    )
""",
    "logs": """
@skill_handler
def handler(context):
    for number in range(context.input.metadata["count"]):
        context.log.info("line", number=number)
    return done()
""",
    "calls": """
@skill_handler
async def handler(context):
    seen = []
    for path in context.input.metadata["paths"]:
        try:
            seen.append(["ok", await context.tools.read(path=path)])
        except Exception as problem:
            seen.append([type(problem).__name__, getattr(problem, "reason", ""), str(problem)])
    return done(seen=seen)
""",
    "many_calls": """
@skill_handler
async def handler(context):
    count = context.input.metadata["count"]
    answers = await asyncio.gather(*(context.tools.read(path=str(number)) for number in range(count)))
    return done(answers=answers)
""",
    "raises": """
@skill_handler
def handler(context):
    raise ValueError("the amount is negative")
""",
    "exits": """
@skill_handler
def handler(context):
    os._exit(3)
""",
    "segfaults": """
@skill_handler
def handler(context):
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(5)
""",
    "writes_line": """
@skill_handler
def handler(context):
    os.write(wire_fd(), context.input.metadata["line"].encode("latin-1") + b"\\n")
    time.sleep(5)
    return done()
""",
    "deaf": """
@skill_handler
def handler(context):
    os.close(wire_fd())
    time.sleep(20)
""",
    "endless_logs": """
@skill_handler
def handler(context):
    while True:
        context.log.info("x" * 1000)
""",
    "endless_line": """
@skill_handler
def handler(context):
    fd = wire_fd()
    while True:
        os.write(fd, b"x" * 65536)
""",
    "endless_prints": """
@skill_handler
def handler(context):
    while True:
        os.write(2, b"x" * 65536)
""",
    "prints_then_answers": """
@skill_handler
def handler(context):
    for number in range(context.input.metadata["lines"]):
        print("line", number)
    return done()
""",
    "endless_loop": """
@skill_handler
def handler(context):
    while True:
        pass
""",
    "sleeps": """
@skill_handler
def handler(context):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sleeper(context.input.metadata["marker"])
    context.log.info("started")
    time.sleep(25)
    return done()
""",
    "stops_itself": """
@skill_handler
def handler(context):
    sleeper(context.input.metadata["marker"])
    mortal(os.getpid())
    os.kill(os.getpid(), signal.SIGSTOP)
    return done()
""",
    "has_stopped_children": """
@skill_handler
def handler(context):
    code = "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"
    for _ in range(2):
        child = subprocess.Popen([sys.executable, "-I", "-S", "-c", code, context.input.metadata["marker"]])
        mortal(child.pid)
        assert os.WIFSTOPPED(os.waitpid(child.pid, os.WUNTRACED)[1])
    if context.input.metadata["answers"]:
        return done()
    time.sleep(25)
""",
    "attacks_supervisor": """
@skill_handler
async def handler(context):
    for detach in (False, True):
        sleeper(context.input.metadata["marker"], detach=detach)
    await context.tools.read(path="now")
    with open(f"/proc/{os.getppid()}/comm") as name:
        if name.read().strip() == "aspora-sandbox":
            os.kill(os.getppid(), context.input.metadata["signal"])
    time.sleep(25)
""",
    "orphans": """
@skill_handler
def handler(context):
    marker = context.input.metadata["marker"]
    sleeper(marker)
    for _ in range(3):
        sleeper(marker, detach=True)
    return done()
""",
    "breeds": """
@skill_handler
def handler(context):
    for _ in range(context.input.metadata["count"]):
        sleeper(context.input.metadata["marker"])
    time.sleep(5)
    return done()
""",
    "forks_on": """
@skill_handler
def handler(context):
    # A chain, never two alive for long: hard to catch, and at an end by its own clock.
    ends = time.monotonic() + 20
    if os.fork() == 0:
        os.setsid()
        while time.monotonic() < ends:
            if os.fork() != 0:
                os._exit(0)
        os._exit(0)
    return done()
""",
    "lingers": """
@skill_handler
def handler(context):
    result = {"success": True, "message": "done", "data": {}, "confidence": None}
    os.write(wire_fd(), json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode() + b"\\n")
    os.write(wire_fd(), b"what comes after the answer is ignored\\n")
    time.sleep(20)
""",
    "allocates": """
@skill_handler
def handler(context):
    held = [bytearray(os.urandom(1) * (8 << 20)) for _ in range(context.input.metadata["mib"] // 8)]
    return done(chunks=len(held))
""",
    "allocates_in_children": """
@skill_handler
def handler(context):
    for _ in range(context.input.metadata["children"]):
        if os.fork() == 0:
            held = bytearray(os.urandom(1) * (context.input.metadata["mib"] << 20))
            time.sleep(20)
            os._exit(len(held) and 0)
    time.sleep(20)
    return done()
""",
    "keeps_secret": """
@skill_handler
async def handler(context):
    with open("secret.txt", "w") as file:
        file.write("secret")
    await context.tools.read(path=os.path.join(os.getcwd(), "secret.txt"))
    return done()
""",
    "pries": """
@skill_handler
def handler(context):
    reached = []
    path = context.input.metadata["path"]
    while len(path) > 1:
        try:
            open(path).read() if os.path.isfile(path) else os.listdir(path)
            reached.append(path)
        except OSError:
            pass
        if os.path.basename(os.path.dirname(path)) == "tmp":
            break
        path = os.path.dirname(path)
    return done(reached=reached)
""",
    "environment": """
@skill_handler
def handler(context):
    seen = dict(os.environ)
    try:
        with open(f"/proc/{os.getppid()}/environ", "rb") as environ:
            seen["parent"] = environ.read().decode(errors="replace").split("\\0")
    except OSError:
        pass
    files = []
    for fd in range(3, 64):
        try:
            files.append(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            pass
    return done(environ=seen, files=files, path=sys.path)
""",
    "vandalises": """
@skill_handler
def handler(context):
    with open("code/handler.py", "a") as file:
        file.write("raise SystemExit")
    os.unlink("data.txt")
    deep = "."
    for _ in range(40):
        deep = os.path.join(deep, "d")
        os.mkdir(deep)
    os.chmod("d", 0)
    os.symlink("/", "link")
    return done()
""",
    "meets": """
@skill_handler
async def handler(context):
    await context.tools.read(path=context.execution_id)
    return done()
""",
    "no_such_import": """
import a_module_that_nobody_has
""",
    "no_handler": """
x = 1
""",
    "returns_nothing": """
@skill_handler
def handler(context):
    return None
""",
}

SOURCES: Mapping[str, str] = {name: _START + body for name, body in _BODIES.items()}
"""Handler source by name."""
