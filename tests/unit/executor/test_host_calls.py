"""The host's side of a handler's capabilities."""

from pathlib import Path
from typing import Any

import pytest

from aspora.executor.host_calls import MAX_READ_BYTES, HostCalls, read_text
from aspora.executor.trace import Trace
from aspora.meta.errors import Forbidden, Invalid, MethodNotAllowed, NotFound, TooLarge


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    skill = tmp_path / "skill"
    (skill / "references").mkdir(parents=True)
    (skill / "references/tone.md").write_text("Be brief – always.")
    (skill / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "secret").write_text("closed")
    (skill / "link").symlink_to(tmp_path / "secret")
    return skill


async def never() -> None:
    raise AssertionError("nothing here ends the run")


def host(folder: Path, trace: Trace, clock: Any, *, tools: set[str], blocked: tuple[str, ...] = ()) -> HostCalls:
    return HostCalls(folder=folder, tools=tools, blocked=blocked, effects=None, end_run=never, trace=trace, clock=clock)


async def test_a_permitted_read_gives_the_text_and_leaves_an_event(folder: Path, trace: Trace, clock: Any) -> None:
    calls = host(folder, trace, clock, tools={"read"})
    assert await calls.call("tools.read", {"path": "references/tone.md"}) == "Be brief – always."
    (event,) = trace.take()
    assert event.type == "HostCall"
    assert event.data == {"method": "tools.read", "outcome": "ok", "durationMs": 0.0, "path": "references/tone.md"}


async def test_what_is_not_permitted_or_unknown_is_refused_and_told(folder: Path, trace: Trace, clock: Any) -> None:
    calls = host(folder, trace, clock, tools=set())
    with pytest.raises(Forbidden, match=r"permissions\.tools"):
        await calls.call("tools.read", {"path": "references/tone.md"})
    with pytest.raises(MethodNotAllowed, match=r"did you mean 'tools\.read'"):
        await calls.call("tools.raed", {})
    assert [e.data["outcome"] for e in trace.take()] == ["Forbidden", "MethodNotAllowed"]


@pytest.mark.parametrize("path", ["references/tone.md", "./references//tone.md", "references/absent.md"])
@pytest.mark.parametrize("pattern", ["references", "references/*", "*.md"])
async def test_blocked_files_are_closed_though_reading_is_permitted(
    folder: Path, trace: Trace, clock: Any, path: str, pattern: str
) -> None:
    calls = host(folder, trace, clock, tools={"read"}, blocked=(pattern,))
    with pytest.raises(Forbidden, match="blocked_resources"):
        await calls.call("tools.read", {"path": path})
    (folder / "notes.txt").write_text("open")
    assert await calls.call("tools.read", {"path": "notes.txt"}) == "open"


@pytest.mark.parametrize("params", [{}, {"path": 1}, {"path": "a", "more": 1}])
async def test_arguments_are_checked(folder: Path, trace: Trace, clock: Any, params: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        await host(folder, trace, clock, tools={"read"}).call("tools.read", params)


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "references/../../secret", "link", "a\x00b"])
def test_no_path_leaves_the_folder(folder: Path, path: str) -> None:
    with pytest.raises(Forbidden):
        read_text(folder, path, blocked=())


@pytest.mark.parametrize("path", ["missing.md", "references", "", "."])
def test_what_is_no_file_is_not_found(folder: Path, path: str) -> None:
    with pytest.raises(NotFound):
        read_text(folder, path, blocked=())


def test_only_text_of_a_bearable_size(folder: Path) -> None:
    (folder / "big").write_text("x" * (MAX_READ_BYTES + 1))
    with pytest.raises(TooLarge):
        read_text(folder, "big", blocked=())
    with pytest.raises(Invalid, match="UTF-8"):
        read_text(folder, "binary", blocked=())


async def test_log_lines_become_events_and_are_cut(folder: Path, trace: Trace, clock: Any) -> None:
    host(folder, trace, clock, tools=set()).log("info", "x" * 10_000, {"n": 1})
    (event,) = trace.take()
    assert (event.type, event.data["level"], len(event.data["message"])) == ("Log", "info", 8192)
    assert event.data["fields"] == {"n": 1}
