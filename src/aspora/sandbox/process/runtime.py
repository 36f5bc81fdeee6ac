"""The interpreter and SDK that handlers start with, where the sandbox's users can read them.

The SDK is always a copy of its own, so that a handler sees it and nothing that happens to be installed beside it. The
interpreter is the platform's own; it is copied only when a sandbox user cannot reach it (root's home is often closed).
Copies are named by content, made beside and renamed into place under a lock, and never changed: a half-made copy is
never used, two processes at once make one, and modes of existing folders stay as they are.
"""

import errno
import fcntl
import hashlib
import importlib.util
import os
import py_compile
import secrets
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aspora.meta.errors import Unavailable
from aspora.sandbox.process import tree
from aspora.sandbox.process.slot import Launch, loader_env, platform_python
from aspora.sandbox.process.workspace import WAY_OUT

LAYOUT = "1"
SDK_PACKAGE = "aspora_sdk"
LEFT_OUT = ("site-packages", "dist-packages", "test", "tests", "idlelib", "idle_test", "tkinter", "turtledemo")
LEFT_OUT_PATTERNS = ("ensurepip", "lib2to3", "pydoc_data", "config-*", "*.opt-1.pyc", "*.opt-2.pyc", "*.a")
SYSTEM_LIBRARIES = ("/lib/", "/lib64/", "/usr/lib/", "/usr/lib64/", "/usr/libexec/")
CANNOT_BECOME = "can't become that user"
START_CHECK = "import json, math, sys\nfor path in sys.argv[1:]:\n    open(path).close()\n"
MAPPED_CHECK = """
import ctypes, os, sys
for name in os.listdir(sys.argv[1]):
    if name.endswith(".so"):
        try:
            ctypes.CDLL(os.path.join(sys.argv[1], name), mode=os.RTLD_LAZY)
        except OSError:
            pass
with open("/proc/self/maps") as maps:
    print("\\n".join({line.split(maxsplit=5)[5].strip() for line in maps if ".so" in line and "/" in line}))
"""


@dataclass(frozen=True, slots=True)
class Runtime:
    """What starts a handler.

    Attributes:
        python: The interpreter.
        sdk_root: The folder that holds `aspora_sdk`.
        library_dir: Shared libraries the copied interpreter needs; None when it is not a copy.
    """

    python: Path
    sdk_root: Path
    library_dir: Path | None = None

    def launch(self) -> Launch:
        """The command and environment of a handler process; nothing of the host's environment is in it."""
        env = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            **loader_env(),
        }
        if self.library_dir is not None:
            env["LD_LIBRARY_PATH"] = str(self.library_dir)
        return Launch(argv=[str(self.python), "-I", "-S", str(self.sdk_root / SDK_PACKAGE / "boot.py")], env=env)


def ensure_runtime(*, runtime_dir: Path, uid: int | None) -> Runtime:
    """Find or make a runtime that `uid` can start. Blocking; the first time as root may copy some 30 MB.

    Args:
        runtime_dir: Where copies live; made if missing.
        uid: A user that jobs become; None when they stay the caller's.

    Raises:
        Unavailable: There is no SDK, or `uid` cannot reach `runtime_dir`.
    """
    try:
        if not runtime_dir.exists():
            runtime_dir.mkdir(parents=True)
            runtime_dir.chmod(0o755)
        sdk_root = _sdk_copy(runtime_dir)
        runtime = Runtime(python=Path(platform_python()), sdk_root=sdk_root)
        if uid is None or (first_problem := start_problem(runtime, uid)) is None:
            return runtime
        if first_problem == CANNOT_BECOME:
            raise Unavailable(
                f"this root can't become user {uid}: its user namespace has no such id, or it lacks CAP_SETUID;"
                " run as an ordinary user, or give the sandbox ids that exist"
            )
        runtime = _interpreter_copy(runtime_dir, sdk_root)
    except OSError as problem:
        raise Unavailable(
            f"the sandbox's runtime folder {str(runtime_dir)!r} can't be used: {problem.strerror};"
            " name one that this user can write"
        ) from problem
    if problem := start_problem(runtime, uid):
        raise Unavailable(
            f"user {uid}, which handlers run as, can't start the interpreter from {str(runtime_dir)!r}: {problem};"
            f" {WAY_OUT}"
        )
    return runtime


def start_problem(runtime: Runtime, uid: int) -> str | None:
    """Really start the interpreter as that user and read the SDK; None when it works."""
    launch = runtime.launch()
    command = [launch.argv[0], "-I", "-S", "-c", START_CHECK, launch.argv[-1]]
    try:
        ended = subprocess.run(
            command, user=uid, group=uid, extra_groups=[], env=dict(launch.env), cwd="/",
            stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False,
        )  # fmt: skip
    except OSError as problem:
        return CANNOT_BECOME if problem.errno in {errno.EINVAL, errno.EPERM} else str(problem)
    except subprocess.SubprocessError as problem:
        return str(problem)
    if ended.returncode == 0:
        return None
    lines = ended.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"it ended with code {ended.returncode}"


def _sdk_copy(runtime_dir: Path) -> Path:
    spec = importlib.util.find_spec(SDK_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable(f"the package {SDK_PACKAGE!r} is not installed beside aspora; install it")
    source = Path(next(iter(spec.submodule_search_locations)))
    files = {path.relative_to(source): path.read_bytes() for path in sorted(source.rglob("*.py"))}
    digest = hashlib.sha256(sys.version.encode())
    for name, content in files.items():
        digest.update(f"\0{name}\0{len(content)}\0".encode() + content)

    def make(target: Path) -> None:
        for name, content in files.items():
            place = target / SDK_PACKAGE / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
            # Nothing under a name made of its content can be stale, so Python need not compare times at each start.
            mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
            py_compile.compile(str(place), dfile=f"{SDK_PACKAGE}/{name}", doraise=True, invalidation_mode=mode)

    return _publish(runtime_dir, f"sdk-{LAYOUT}-{sys.implementation.cache_tag}-{digest.hexdigest()[:16]}", make)


def _interpreter_copy(runtime_dir: Path, sdk_root: Path) -> Runtime:
    python, library = Path(platform_python()), Path(sysconfig.get_path("stdlib"))
    facts = [
        sys.version,
        str(python),
        str(library),
        *(str(os.stat(path).st_mtime_ns) for path in (python, library / "os.py")),
    ]
    digest = hashlib.sha256("\0".join(facts).encode()).hexdigest()[:16]

    def make(target: Path) -> None:
        shutil.copytree(
            library,
            target / sys.platlibdir / library.name,
            ignore=shutil.ignore_patterns(*LEFT_OUT, *LEFT_OUT_PATTERNS),
            ignore_dangling_symlinks=True,
        )
        (target / "bin").mkdir()
        shutil.copy2(python, target / "bin" / python.name)
        (target / "libraries").mkdir()
        for needed in _needed_libraries(python, library):
            for name in _names_of(needed):
                shutil.copy2(needed, target / "libraries" / name)

    version = ".".join(map(str, sys.version_info[:3]))
    copy = _publish(runtime_dir, f"python-{LAYOUT}-{version}-{digest}", make)
    return Runtime(python=copy / "bin" / python.name, sdk_root=sdk_root, library_dir=copy / "libraries")


def _needed_libraries(python: Path, library: Path) -> list[Path]:
    """Shared libraries outside the system's folders that the interpreter or its extension modules load."""
    extensions = library / "lib-dynload"
    command = [python, "-I", "-S", "-c", MAPPED_CHECK, str(extensions)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    mapped = (Path(line) for line in ended.stdout.splitlines())
    return sorted(
        path
        for path in mapped
        if not str(path).startswith(SYSTEM_LIBRARIES) and path.parent != extensions and path.is_file()
    )


def _names_of(path: Path) -> list[str]:
    """Its name and those of the links to it beside it: a loader asks for `libx.so.3` when the file is `libx.so.3.1`."""
    return [other.name for other in path.parent.iterdir() if ".so" in other.name and other.resolve() == path.resolve()]


def _publish(runtime_dir: Path, name: str, make: Callable[[Path], None]) -> Path:
    final = runtime_dir / name
    if not final.exists():
        with _locked(runtime_dir):
            for left in runtime_dir.glob(".making-*"):
                tree.remove_tree(str(left))
            if not final.exists():
                making = runtime_dir / f".making-{secrets.token_hex(8)}"
                making.mkdir()
                make(making)
                _open_to_all(making)
                making.rename(final)
    found = final.stat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise Unavailable(f"{str(final)!r} is not this user's own, or others may write to it; remove it")
    return final


def _open_to_all(folder: Path) -> None:
    folder.chmod(0o755)
    for parent, folders, files in os.walk(folder):
        for name in folders:
            os.chmod(os.path.join(parent, name), 0o755)
        for name in files:
            path = os.path.join(parent, name)
            os.chmod(path, 0o755 if os.stat(path).st_mode & 0o100 else 0o644)


@contextmanager
def _locked(runtime_dir: Path) -> Generator[None]:
    fd = os.open(runtime_dir / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
