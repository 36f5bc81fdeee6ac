"""`load_skill`: the same imports and directory as a real job, in the test's own process, leaving no trace in it."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aspora_sdk import CapabilityError, HandlerLoadError, InvalidResultError, SkillInput, SkillTestCase, load_skill

HEAD = "from aspora_sdk import SkillContext, SkillResult, CapabilityError, skill_handler\n"
OK = HEAD + "def handler(context):\n    return SkillResult(True, 'fine')\n"
MakeSkill = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> MakeSkill:
    """Write a skill's files and return the root of domains."""

    def maker(skill_id: str, handler: str, **files: str) -> Path:
        root = tmp_path / "skills"
        folder = root / skill_id
        for name, text in {"SKILL.md": "", "code/handler.py": handler, **files}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return root

    return maker


def test_two_handlers_and_their_neighbours_do_not_see_each_other(make: MakeSkill) -> None:
    source = (
        HEAD + "import near\nfrom shared.money import VALUE\ndef handler(c): return SkillResult(True, near.N + VALUE)\n"
    )
    root = make("one/a", source, **{"code/near.py": "N = 'one'", "../shared/money.py": "VALUE = 1 * '-a'"})
    make("two/b", source, **{"code/near.py": "N = 'two'", "../shared/money.py": "VALUE = 1 * '-b'"})
    before = set(sys.modules), sys.path[:], sys.meta_path[:], Path.cwd()
    first, second = load_skill("one/a", root=root), load_skill("two/b", root=root)
    assert first.execute().message == "one-a"
    assert second.execute().message == "two-b"
    assert first.execute().message == "one-a"
    assert first.module("shared.money").VALUE == "-a"
    assert second.module("near").N == "two"
    assert (set(sys.modules), sys.path[:], sys.meta_path[:], Path.cwd()) == before
    assert not list(root.rglob("__pycache__"))


def test_each_load_starts_anew_and_one_load_keeps_its_state(make: MakeSkill) -> None:
    source = HEAD + "import near\ndef handler(c):\n    near.n += 1\n    return SkillResult(True, str(near.n))\n"
    root = make("d/s", source, **{"code/near.py": "n = 0"})
    skill = load_skill("d/s", root=root)
    assert [skill.execute().message for _ in range(2)] == ["1", "2"]
    assert load_skill("d/s", root=root).execute().message == "1"


def test_imports_inside_functions_and_the_working_directory_are_those_of_the_job(make: MakeSkill) -> None:
    source = HEAD + (
        "from pathlib import Path\ndef handler(c):\n    import late\n    from shared import deep\n"
        "    return SkillResult(True, Path('references/x.md').read_text() + late.L + deep.D)\n"
    )
    files = {"code/late.py": "L = 'late'", "references/x.md": "ref ", "../shared/deep.py": "D = ' deep'"}
    assert load_skill("d/s", root=make("d/s", source, **files)).execute().message == "ref late deep"


def test_a_shared_folder_in_both_places_is_refused(make: MakeSkill) -> None:
    root = make("d/s", OK, **{"shared/a.py": "", "../shared/a.py": ""})
    with pytest.raises(HandlerLoadError, match="both the skill"):
        load_skill("d/s", root=root)


def test_input_forms_and_metadata_laid_over(make: MakeSkill) -> None:
    source = HEAD + (
        "def handler(c):\n    i = c.input\n    i.metadata['touched'] = 1\n"
        "    return SkillResult(True, i.user_message, {'m': i.metadata, 'c': c.config, 'ids': [c.domain, c.skill]})\n"
    )
    skill = load_skill("d/s", root=make("d/s", source), config={"k": 1})
    mine = {"a": [1, (2,)]}
    case = SkillTestCase(id="x", description="", input=SkillInput("hi", metadata=mine), expect={"success": True})
    for given in ("hi", {"user_message": "hi"}, SkillInput("hi"), case):
        assert skill.execute(given, extra=2).message == "hi"
    result = skill.execute(case, extra=2)
    assert result.data == {"m": {"a": [1, [2]], "extra": 2, "touched": 1}, "c": {"k": 1}, "ids": ["d", "s"]}
    assert mine == {"a": [1, (2,)]}
    with pytest.raises(ValueError, match="unknown input field 'amount'"):
        skill.execute({"amount": 1})
    with pytest.raises(ValueError, match=r"input.metadata.when is a \w*Path"):
        skill.execute(when=Path())


def test_reads_stay_in_the_skills_folder(make: MakeSkill, tmp_path: Path) -> None:
    source = HEAD + "async def handler(c): return SkillResult(True, await c.tools.read(c.input.user_message))\n"
    root = make("d/s", source, **{"references/x.md": "héllo", "../other.md": "not yours"})
    (root / "d/s/link.md").symlink_to(root / "d/other.md")
    (root / "d/s/raw.bin").write_bytes(b"\xff")
    skill = load_skill("d/s", root=root)
    assert skill.execute("references/x.md").message == "héllo"
    assert skill.execute("references/../references/x.md").message == "héllo"
    for path, reason in [
        ("../other.md", "Forbidden"),
        ("link.md", "Forbidden"),
        (str(root / "d/other.md"), "Forbidden"),
        ("references/none.md", "NotFound"),
        ("references", "NotFound"),
        ("raw.bin", "Invalid"),
    ]:
        with pytest.raises(CapabilityError) as caught:
            skill.execute(path)
        assert caught.value.reason == reason, path


def test_logs_are_those_of_the_latest_run(make: MakeSkill) -> None:
    source = (
        HEAD + "def handler(c):\n    c.log.info('made', n=c.input.user_message)\n    return SkillResult(True, '')\n"
    )
    skill = load_skill("d/s", root=make("d/s", source))
    skill.execute("1")
    skill.execute("2")
    assert [(line.level, line.message, line.fields) for line in skill.logs] == [("info", "made", {"n": "2"})]


def test_given_functions_answer_host_calls_and_the_rest_is_refused(make: MakeSkill) -> None:
    source = HEAD + (
        "import asyncio\nasync def handler(c):\n"
        "    both = await asyncio.gather(c.apis.trm.check(id=1), c.apis.trm.check(id=2))\n"
        "    return SkillResult(True, '', {'both': both})\n"
    )
    root = make("d/s", source)
    skill = load_skill("d/s", root=root, capabilities={"apis.trm.check": lambda id: id * 10})
    assert skill.execute().data == {"both": [10, 20]}
    with pytest.raises(CapabilityError) as caught:
        load_skill("d/s", root=root).execute()
    assert caught.value.reason == "MethodNotAllowed"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return None", "returned None"),
        ("return SkillResult(True, '', {'x': float('nan')})", "data.x is nan"),
        ("c.apis.db.block(id=1); return SkillResult(True, '')", "never sent: apis.db.block"),
    ],
)
def test_what_a_real_job_refuses_is_refused_here(make: MakeSkill, body: str, words: str) -> None:
    skill = load_skill("d/s", root=make("d/s", f"{HEAD}def handler(c): {body}\n"))
    with pytest.raises(InvalidResultError, match=words):
        skill.execute()


def test_a_raising_handler_leaves_the_process_as_it_was(make: MakeSkill) -> None:
    root = make("d/s", HEAD + "def handler(c): raise KeyError('x')\n")
    skill = load_skill("d/s", root=root)
    before = set(sys.modules), sys.path[:], Path.cwd()
    with pytest.raises(KeyError):
        skill.execute()
    make("d/s", "import nonesuch\n")
    with pytest.raises(ModuleNotFoundError):
        load_skill("d/s", root=root)
    assert (set(sys.modules), sys.path[:], Path.cwd()) == before


def test_results_come_back_as_json_would_bring_them(make: MakeSkill) -> None:
    skill = load_skill("d/s", root=make("d/s", HEAD + "def handler(c): return SkillResult(True, '', {'t': (1, 2)})\n"))
    assert skill.execute().data == {"t": [1, 2]}


async def test_execute_inside_a_running_loop_says_what_to_do(make: MakeSkill) -> None:
    skill = load_skill("d/s", root=make("d/s", OK))
    with pytest.raises(RuntimeError, match=r"asyncio.to_thread"):
        skill.execute()
    assert (await asyncio.to_thread(skill.execute)).message == "fine"


def test_the_root_is_found_by_argument_variable_or_walking_up(make: MakeSkill, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make("d/s", OK, **{"tests/unit/x.txt": ""})
    monkeypatch.delenv("ASPORA_SKILLS_ROOT", raising=False)
    for start in (root.parent, root / "d/s/tests/unit"):
        monkeypatch.chdir(start)
        assert Path(load_skill("d/s").folder) == root / "d/s"
    bare = root.parent / "elsewhere"
    os.rename(root, bare)
    monkeypatch.chdir(bare / "d/s/tests")
    assert Path(load_skill("d/s").folder) == bare / "d/s"
    (bare / "d/DOMAIN.md").touch()
    monkeypatch.chdir(bare / "d")
    assert Path(load_skill("d/s").folder) == bare / "d/s"
    monkeypatch.chdir("/")
    with pytest.raises(HandlerLoadError, match="ASPORA_SKILLS_ROOT"):
        load_skill("d/s")
    monkeypatch.setenv("ASPORA_SKILLS_ROOT", str(bare))
    assert Path(load_skill("d/s").folder) == bare / "d/s"
    for wrong in ("s", "../s", "d/../s", "D/s"):
        with pytest.raises(HandlerLoadError, match="domain/skill"):
            load_skill(wrong)


def test_an_entry_point_named_like_a_python_module_fails_here_as_in_a_job(make: MakeSkill) -> None:
    root = make("d/s", OK, **{"code/json.py": OK})
    with pytest.raises(HandlerLoadError, match="rename the file"):
        load_skill("d/s", root=root, entry_point="code/json.py")
