"""The canonical archive: round trips, determinism, and every hostile tar refused before anything is written."""

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aspora.meta.errors import Invalid, StatusError, TooLarge
from aspora.skills import archive as module
from aspora.skills.archive import ArchiveFile, collisions, path_problem, read_archive, unpack, write_archive
from aspora.skills.files import folder_digest

NAMES = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=12).filter(
    lambda name: not path_problem(name)
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
FILE = st.builds(ArchiveFile, PATHS, st.binary(max_size=600), st.booleans())


def fit_together(files: list[ArchiveFile]) -> bool:
    paths = [f.path for f in files]
    return len(set(paths)) == len(paths) and not list(collisions(paths)) and not any(map(path_problem, paths))


FILES = st.lists(FILE, min_size=1, max_size=6).filter(fit_together)


@settings(max_examples=60)
@given(FILES)
def test_round_trip(files: list[ArchiveFile]) -> None:
    packed = write_archive(files)
    assert sorted(read_archive(packed.data), key=lambda f: f.path.encode()) == sorted(
        files, key=lambda f: f.path.encode()
    )
    assert packed.file_count == len(files)


@settings(max_examples=60)
@given(FILES, st.randoms())
def test_order_does_not_matter(files: list[ArchiveFile], random: object) -> None:
    shuffled = list(files)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert write_archive(shuffled) == write_archive(files)


@settings(max_examples=60)
@given(FILES, st.data())
def test_any_flipped_byte_changes_a_file_or_is_refused(files: list[ArchiveFile], data: st.DataObject) -> None:
    packed = write_archive(files)
    at = data.draw(st.integers(0, len(packed.data) - 1))
    flipped = bytearray(packed.data)
    flipped[at] ^= data.draw(st.integers(1, 255))
    try:
        found = read_archive(bytes(flipped))
    except StatusError:
        return
    assert found != read_archive(packed.data)
    assert write_archive(found).data == bytes(flipped)


@settings(max_examples=60)
@given(FILES, st.data())
def test_no_part_of_an_archive_passes_for_one(files: list[ArchiveFile], data: st.DataObject) -> None:
    packed = write_archive(files).data
    cut = packed[: data.draw(st.integers(0, len(packed) - 1))]
    with pytest.raises(StatusError):
        read_archive(cut)


@given(st.binary(max_size=2000))
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(StatusError):
        read_archive(data)


def test_the_form_is_plain_tar_that_others_read() -> None:
    packed = write_archive([ArchiveFile("b/ü.txt", b"two", True), ArchiveFile("a.txt", b"one")])
    with tarfile.open(fileobj=io.BytesIO(packed.data)) as tar:
        members = tar.getmembers()
    assert [(m.name, m.mode, m.mtime, m.uid, m.uname) for m in members] == [
        ("a.txt", 0o644, 0, 0, ""),
        ("b/ü.txt", 0o755, 0, 0, ""),
    ]


def test_the_bytes_never_change_between_versions() -> None:
    packed = write_archive([ArchiveFile("SKILL.md", b"# hi\n"), ArchiveFile("code/handler.py", b"x = 1\n", True)])
    assert packed.digest == "sha256:0183e310fc547d9f9efb6b44e8064bd778241a97902cade4e97202d0a99dc742"


@pytest.mark.parametrize("path", ["a" * 100, "b" * 60 + "/" + "c" * 60, "/".join(["d" * 50] * 4) + "/e.py"])
def test_long_paths_are_what_tar_makes_of_them(path: str) -> None:
    packed = write_archive([ArchiveFile(path, b"x")])
    info = tarfile.TarInfo(path)
    info.size = 1
    assert packed.data[:512] == info.tobuf(format=tarfile.USTAR_FORMAT)
    assert [f.path for f in read_archive(packed.data)] == [path]


def hostile(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.USTAR_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for info, data in members:
            info.size = len(data) if info.isreg() else info.size
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def member(name: str, **values: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in values.items():
        setattr(info, key, value)
    return info


HOSTILE = {
    "parent": hostile((member("../evil"), b"x")),
    "absolute": hostile((member("/etc/evil"), b"x")),
    "hidden parent": hostile((member("a/../../evil"), b"x")),
    "symlink": hostile((member("a", type=tarfile.SYMTYPE, linkname="/etc/passwd"), b"")),
    "hard link": hostile((member("a"), b"x"), (member("b", type=tarfile.LNKTYPE, linkname="a"), b"")),
    "device": hostile((member("a", type=tarfile.CHRTYPE, devmajor=1, devminor=3), b"")),
    "fifo": hostile((member("a", type=tarfile.FIFOTYPE), b"")),
    "folder": hostile((member("a", type=tarfile.DIRTYPE), b"")),
    "set-uid": hostile((member("a", mode=0o4755), b"x")),
    "owner": hostile((member("a", uid=1000), b"x")),
    "time": hostile((member("a", mtime=1), b"x")),
    "twice": hostile((member("a"), b"x"), (member("a"), b"y")),
    "out of order": hostile((member("b"), b"x"), (member("a"), b"y")),
    "file and folder": hostile((member("a"), b"x"), (member("a/b"), b"y")),
    "case": hostile((member("A"), b"x"), (member("a"), b"y")),
    "extended header": hostile((member("a" * 120), b"x"), form=tarfile.PAX_FORMAT),
    "long name of GNU": hostile((member("a" * 120), b"x"), form=tarfile.GNU_FORMAT),
    "sparse": hostile((member("a", type=tarfile.GNUTYPE_SPARSE), b"")),
    "control character": hostile((member("a\nb"), b"x")),
    "backslash": hostile((member("a\\b"), b"x")),
    "padded to ten blocks": hostile((member("a"), b"x")),
    "empty": bytes(1024),
    "data after the end": write_archive([ArchiveFile("a", b"x")]).data + b"x",
    "hidden in the padding": write_archive([ArchiveFile("a", b"x")]).data.replace(b"x\0", b"xy"),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_archives_write_nothing(data: bytes, tmp_path: Path) -> None:
    target = tmp_path / "in" / "here"
    target.mkdir(parents=True)
    with pytest.raises(StatusError):
        unpack(data, target)
    assert list(tmp_path.rglob("*")) == [tmp_path / "in", target]


def test_a_size_that_lies_is_refused_without_memory(tmp_path: Path) -> None:
    data = bytearray(write_archive([ArchiveFile("a", b"x")]).data)
    info = tarfile.TarInfo("a")
    info.size = 8 * 2**30 - 1
    data[:512] = info.tobuf(format=tarfile.USTAR_FORMAT)
    with pytest.raises(TooLarge, match="at most"):
        unpack(bytes(data), tmp_path)


def test_caps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILES", 2)
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 10)
    monkeypatch.setattr(module, "MAX_TOTAL_BYTES", 15)
    for files in (
        [ArchiveFile(name, b"") for name in "abc"],
        [ArchiveFile("a", bytes(11))],
        [ArchiveFile("a", bytes(8)), ArchiveFile("b", bytes(8))],
    ):
        with pytest.raises(TooLarge):
            write_archive(files)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/a",
        "a//b",
        "./a",
        "a/..",
        "a\\b",
        "a\0b",
        "a\u202eb",
        " a",
        "a ",
        "u\u0308",
        "a" * 101,
        "a/" * 121 + "a",
        "\udcff",
    ],
)
def test_odd_paths(path: str) -> None:
    assert path_problem(path)
    with pytest.raises(Invalid):
        write_archive([ArchiveFile(path, b"")])


def test_unpacked_folders_have_the_digest_of_their_archive(tmp_path: Path) -> None:
    packed = write_archive([ArchiveFile("a/b.py", b"x", True), ArchiveFile("c", b"")])
    assert unpack(packed.data, tmp_path) == ["a/b.py", "c"]
    assert (tmp_path / "a/b.py").stat().st_mode & 0o777 == 0o755
    assert folder_digest(tmp_path) == packed.digest
    (tmp_path / "c").write_bytes(b"!")
    assert folder_digest(tmp_path) != packed.digest
