from typing import Any

from aspora.cli.applying import Applied, Wanted
from aspora.cli.differences import files_difference, object_difference
from aspora.skills import ArchiveFile, write_archive


def obj(spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "s", **metadata}, "spec": spec}


def test_the_order_of_keys_and_what_the_server_adds_never_differ() -> None:
    before = obj({"b": {"y": 1, "x": [{"n": 1, "m": 2}]}, "a": 1}, uid="u", labels={}, resourceVersion="5")
    after = obj({"a": 1, "b": {"x": [{"m": 2, "n": 1}], "y": 1}})
    assert list(object_difference(Applied(after, "configured", before), "skill/s")) == []


def test_a_changed_value_is_one_line_out_and_one_in() -> None:
    lines = list(object_difference(Applied(obj({"a": 2}), "configured", obj({"a": 1})), "skill/s"))
    assert [line for line in lines if line[:1] in "+-"][2:] == ["-  a: 1", "+  a: 2"]


def test_files(gateway: Any) -> None:
    old = write_archive([ArchiveFile("same", b"1"), ArchiveFile("gone", b"x\n"), ArchiveFile("text", b"a\nb\n")])
    new = write_archive([ArchiveFile("same", b"1"), ArchiveFile("text", b"a\nc\n"), ArchiveFile("image", b"\0\1")])
    gateway.artifacts[old.digest] = old.data

    def skill(digest: str) -> dict[str, Any]:
        return obj({"artifact": {"digest": digest}}, domain="d")

    wanted = Wanted(skill(new.digest), "folder", artifact=new.data)
    lines = list(files_difference(gateway, wanted, Applied(wanted.object, "configured", skill(old.digest)), "s"))
    assert "# s/image: added (no text, or too long to show)" in lines
    assert {"-x", "-b", "+c"} <= set(lines)
    assert not any("same" in line for line in lines)
    lost = list(files_difference(gateway, wanted, Applied(wanted.object, "configured", skill("sha256:0")), "s"))
    assert lost[0].startswith("# the server no longer has")
