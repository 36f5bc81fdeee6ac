"""Hostile and clumsy folders: each is refused with a clear error that names the place, quickly, and changes nothing."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.e2e.cli.conftest import InProcess
from tests.e2e.server import Aspora

Break = Callable[[Path], object]

HEAD = "---\nname: screen\ndescription: Screens.\n---\nDo it.\n"
LEVELS = 12
BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, LEVELS)]
)


def config(text: str) -> Break:
    return lambda skill: (skill / "aspora.config.yaml").write_text(text)


def skill_md(data: bytes) -> Break:
    return lambda skill: (skill / "SKILL.md").write_bytes(data)


def sparse(skill: Path) -> None:
    """50 MB that take no room on the disk."""
    with (skill / "SKILL.md").open("wb") as f:
        f.write(HEAD.encode())
        f.truncate(50_000_000)


def same_name_in_other_case(skill: Path) -> None:
    (skill / "Guide.md").write_text("a")
    (skill / "guide.md").write_text("b")


BROKEN: list[tuple[str, Break, str]] = [
    ("bomb", config(BOMB), "aspora.config.yaml:"),
    ("deep", config("a: " + "[" * 5000), "aspora.config.yaml:"),
    ("duplicate", config("visibility: private\nvisibility: public\n"), "comes twice: in line 1 and here"),
    ("tab", config("runtime:\n\ttimeout: 3s\n"), "a tab can't indent"),
    ("typo", config("runtime:\n  timeot: 3s\n"), "did you mean 'timeout'"),
    ("mark", skill_md(b"\xef\xbb\xbf" + HEAD.encode()), "byte order mark"),
    ("latin", skill_md(HEAD.encode() + b"caf\xe9"), "SKILL.md:6: is not UTF-8: byte 0xe9 at offset"),
    ("huge", sparse, "has 50000000 bytes; at most"),
    ("case", same_name_in_other_case, "can't lie beside each other"),
    ("traversal", config("runtime:\n  entry_point: ../../other.py\n"), "leaves the skill's folder"),
    ("dotted", config("runtime:\n  entry_point: ./code/handler.py\n"), "written plainly; write 'code/handler.py'"),
    ("absolute", config("runtime:\n  entry_point: /etc/passwd\n"), "leaves the skill's folder"),
    ("missing", config("runtime:\n  entry_point: code/nothing.py\n"), "is not a file of the skill"),
    ("link", lambda skill: os.symlink("/etc/passwd", skill / "references.md"), "is a link"),
    ("folder-link", lambda skill: os.symlink("/etc", skill / "etc"), "is a link"),
    ("pipe", lambda skill: os.mkfifo(skill / "pipe"), "is not a regular file"),
    ("name", skill_md(HEAD.replace("screen", "other").encode()), "SKILL.md:2"),
    ("no-skill-md", lambda skill: (skill / "SKILL.md").unlink(), "has no SKILL.md"),
]


@pytest.mark.parametrize(("change", "told"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_a_broken_skill(quick: InProcess, project: Path, change: Break, told: str) -> None:
    change(project / "skills" / "hr" / "screen")
    done = quick.run("validate", "skills/hr/screen", cwd=project)
    if told == "has no SKILL.md":
        assert done.code == 1
        assert "SKILL.md" in done.out
        assert "aspora create skill" in done.out
        return
    assert done.code == 1, done.out + done.err
    assert done.out.count(told) == 1
    assert "FAIL" in done.out
    ran = quick.run("run", "./skills/hr/screen", "x", "--dry-run", cwd=project)
    assert ran.code == 4
    assert told in ran.err


def test_all_problems_come_at_once(quick: InProcess, project: Path) -> None:
    skill = project / "skills" / "hr" / "screen"
    (skill / "SKILL.md").write_text("---\nname: Screen\ndescription:\n---\nx\n")
    (skill / "aspora.config.yaml").write_text("runtime:\n  timeout: soon\n  cpus: 2\nvisibility: everybody\n")
    done = quick.run("validate", "skills/hr/screen", cwd=project)
    assert done.code == 1
    for place in ("SKILL.md:2", "SKILL.md:3", "aspora.config.yaml:2", "aspora.config.yaml:3", "aspora.config.yaml:4"):
        assert place in done.out


def test_skills_whose_names_collide_in_case(quick: InProcess, project: Path) -> None:
    hr = project / "skills" / "hr"
    other = hr / "Screen"
    try:
        other.mkdir()
    except FileExistsError:
        pytest.skip("this file system can't tell the names apart")
    (other / "SKILL.md").write_text(HEAD)
    done = quick.run("validate", cwd=project)
    assert done.code == 1
    assert "only in case" in done.out


def test_nothing_that_could_be_a_skill(quick: InProcess, tmp_path: Path) -> None:
    for verb in ("validate", "list", "test"):
        done = quick.run(verb, str(tmp_path))
        assert done.code != 0
        assert "aspora create skill" in done.out + done.err
    gone = quick.run("run", "./nowhere", "x", cwd=tmp_path)
    assert gone.code == 4
    assert "is no folder" in gone.err


def test_lenient_reads_what_strict_refuses(quick: InProcess, tmp_path: Path) -> None:
    skill = tmp_path / "imported"
    skill.mkdir()
    (skill / "SKILL.md").write_text("\ufeff---\nname: Other Name\ndescription: Does: things\nextra: 1\n---\nDo it.\n")
    assert quick.run("validate", str(skill)).code == 1
    done = quick.run("validate", str(skill), "--lenient")
    assert done.code == 0, done.out
    assert "warning" in done.out


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("run", "a" * 500), "has 500 characters; at most 63"),
        (("run", "hr%2fscreen"), "'hr%2fscreen' is not a name"),
        (("run", "hr/a?b c"), "'a?b c' is not a name"),
        (("run", "./skills/hr/screen", "caf\udce9"), "the message 'caf\\udce9' is not UTF-8"),
        (("run", "./skills/hr/screen", "--user", "\udce9"), "--user '\\udce9' is not UTF-8"),
        (("run", "hr/other", "--idempotency-key", "k€y"), "--idempotency-key 'k€y' can't be sent"),
    ],
)
def test_words_that_nothing_can_be_called_or_sent_as(
    quick: InProcess, project: Path, argv: tuple[str, ...], told: str
) -> None:
    done = quick.run(*argv, cwd=project)
    assert done.code == 2
    assert told in done.err


def test_output_that_its_encoding_does_not_have_is_escaped(offline: Aspora, project: Path) -> None:
    (project / "skills/hr/screen/code/handler.py").write_text(
        "from aspora_sdk import SkillResult\n"
        "def handler(context):\n    return SkillResult(success=True, message='caf\u00e9')\n"
    )
    ascii_only = Aspora(offline.data_dir, {**offline.environ, "PYTHONIOENCODING": "ascii"})
    assert "caf\\xe9" in ascii_only.ok("run", "./skills/hr/screen", "hello", cwd=project)


def test_a_setting_that_names_no_folder_is_told_with_its_name(offline: Aspora) -> None:
    lost = InProcess(offline.data_dir, {**offline.environ, "ASPORA_SKILLS_ROOT": "/nope"})
    for verb in ("validate", "list", "test"):
        done = lost.run(verb)
        assert done.code == 2
        assert "ASPORA_SKILLS_ROOT is '/nope', which is no folder; set it to" in done.err


def test_usage_errors_name_the_way_out(quick: InProcess) -> None:
    for argv, told in [
        (("run", "./skills/ecm/order-details", "x", "--input", "novalue"), "key=text"),
        (("apply",), "aspora apply -f skills/"),
        (("create", "apikey", "ci", "--role", "viewer"), "-d DOMAIN"),
    ]:
        done = quick.run(*argv)
        assert done.code == 2, argv
        assert told in done.err
