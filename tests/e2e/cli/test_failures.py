"""What a person reads when something goes wrong: what and which in a line, a next step, and a sound exit code."""

import contextlib
import io
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.e2e.cli.conftest import InProcess
from tests.e2e.server import Aspora, Done
from tests.servers import free_port

from aspora.cli import exit_codes

# ruff: noqa: E501 - a row is a line, so that the table can be read

UNREADABLE = re.compile(r"Traceback|<class|PosixPath|\[Errno|None\b|\bargument \w+:|psycopg|Exception|Error\(")
NEXT_STEP = re.compile(
    r"; |: (aspora|use) |Try '|did you mean|known: |\bwrite |\bsay what|is required|at most|over the cap|must be|is not YAML"
)

MANIFESTS: Mapping[str, str] = {
    "hr.yaml": "apiVersion: aspora.dev/v1\nkind: Domain\nmetadata: {name: hr}\nspec: {}\n",
    "broken.yaml": "kind: Domain\nmetadata: {name: x\n",
    "typo.yaml": "apiVersion: aspora.dev/v1\nkind: Model\nmetadata: {name: m}\nspec: {provder: x}\n",
    "kind.yaml": "apiVersion: aspora.dev/v1\nkind: Skil\nmetadata: {name: m}\nspec: {}\n",
    "version.yaml": "apiVersion: aspora.dev/v2\nkind: Domain\nmetadata: {name: x}\nspec: {}\n",
    "large.yaml": "apiVersion: aspora.dev/v1\nkind: Domain\nmetadata:\n  name: big\n  annotations:\n    a: "
    + "x" * 300_000
    + "\nspec: {}\n",
    "input.json": '{"message": "' + "x" * 1_048_600 + '"}',
    "notes.txt": "no backup",
}


@dataclass(frozen=True)
class Failure:
    """One command line that can't succeed."""

    argv: tuple[str, ...]
    code: int
    told: str
    environ: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join(word[:30] for word in self.argv) + "".join(f" {k}={v[:20]}" for k, v in self.environ.items())


USAGE, UNAVAILABLE, REFUSED, FAILED = (
    exit_codes.USAGE,
    exit_codes.UNAVAILABLE,
    exit_codes.REFUSED,
    exit_codes.FAILED,
)

WITHOUT_SERVER = [
    Failure(("gett", "skills"), USAGE, "unknown verb 'gett'; did you mean 'aspora get'?"),
    Failure(("replace", "-f", "x"), USAGE, "unknown verb 'replace'; 'aspora --help' lists the verbs"),
    Failure(("get", "skills", "--selectr", "a=b"), USAGE, "arguments: --selectr a=b; did you mean '--selector'?"),
    Failure(("get",), USAGE, "still needed: kind\nTry 'aspora get --help'."),
    Failure(("get", "skills", "-o"), USAGE, "-o/--output needs a value; write one after it"),
    Failure(("config", "set"), USAGE, "what is 'set'; known: view, explain, path"),
    Failure(("get", "skills"), UNAVAILABLE, "no Aspora is running with data directory '{data_dir}'; start one: aspora up"),
    Failure(("logs", "EXEC-1", "--data-dir", "/no where"), UNAVAILABLE, "'/no where'; start one: aspora up --detach --data-dir '/no where'"),
    Failure(
        ("get", "skills", "--data-dir", "/nowhere"), UNAVAILABLE, "start one: aspora up --detach --data-dir /nowhere",
        {"ASPORA_URL": "{free_url}", "ASPORA_API_KEY": "aspora_a_b"},
    ),
    Failure(("apply",), USAGE, "say what: aspora apply -f skills/"),
    Failure(("run", "./nowhere", "x"), REFUSED, "nowhere: is no folder; a skill is a folder with SKILL.md"),
    Failure(("create", "skill", "hr/Screen"), REFUSED, "'Screen' is not a name: use lower-case letters, digits, '-'"),
    Failure(("get", "skills", "--url", "ftp://x"), USAGE, "'ftp://x' is not a gateway's address; write it like http"),
    Failure(("get", "skills", "--as", ""), USAGE, "--as names nobody; is a variable of your shell not set?"),
    Failure(("wait", "skill", "a", "--for", "ready"), USAGE, "--for 'ready' is not understood; write delete, create"),
    Failure(
        ("wait", "skill", "a", "--for", "delete", "--timeout", "soon"), USAGE, "'soon' is not a duration; write 30s"
    ),
    Failure(("restore", "gone.tar"), UNAVAILABLE, "gone.tar' can't be read: No such file or directory; name a backup"),
    Failure(("restore", "notes.txt"), REFUSED, "notes.txt' is no whole backup of Aspora; use another"),
    Failure(("up", "--data-dir", "."), REFUSED, "is not empty and not a data directory of Aspora (it holds"),
    Failure(("backup", "x.tar"), REFUSED, "data directory '{data_dir}' holds no database; name the right one with"),
    Failure(("get", "skills"), USAGE, "unknown setting 'ASPORA_PRT'; did you mean 'ASPORA_PORT'?", {"ASPORA_PRT": "1"}),
    Failure(("get", "skills"), USAGE, "ASPORA_PORT is 'many': write a whole number", {"ASPORA_PORT": "many"}),
    Failure(
        ("get", "skills"), UNAVAILABLE, "no gateway answers at {free_url} (Connection refused); start one: aspora up",
        {"ASPORA_URL": "{free_url}", "ASPORA_API_KEY": "aspora_a_b"},
    ),
    Failure(
        ("get", "skills"), REFUSED, "no API key for {free_url}; set ASPORA_API_KEY", {"ASPORA_URL": "{free_url}"}
    ),
]  # fmt: skip

WITH_SERVER = [
    Failure(("get", "skil"), USAGE, "unknown kind 'skil'; did you mean 'skill'?"),
    Failure(("get", "skill", "x", "-d", "hr"), REFUSED, "Skill 'x' not found in domain 'hr'; see: aspora get skill"),
    Failure(("get", "skill", "x", "-A"), USAGE, "-A lists every domain, and 'x' is one name; write DOMAIN/x, or -d DOMAIN"),
    Failure(("watch", "skill", "x", "-A"), USAGE, "-A lists every domain, and 'x' is one name; write DOMAIN/x, or -d DOMAIN"),
    Failure(("get", "skills", "-d", "nowhere"), REFUSED, "domain 'nowhere' not found; create it with 'aspora create"),
    Failure(("get", "models", "-d", "hr"), USAGE, "models belong to the whole cluster; leave the domain out"),
    Failure(("get", "skills", "-l", "a b"), REFUSED, "a term that can't be read: 'a b'; write key=value"),
    Failure(("get", "executions", "--since", "yesterday"), USAGE, "--since 'yesterday' is not a time; write 30m"),
    Failure(("get", "executions", "--state", "runing"), REFUSED, "unknown state 'runing'; did you mean 'Running'?"),
    Failure(("describe", "execution", "EXEC-1"), REFUSED, "begins with 'EXEC-1'; 'aspora get executions' lists them"),
    Failure(("run", "hr/one", "hi", "--idempotency-key", ""), USAGE, "--idempotency-key is empty, so that the skill"),
    Failure(("watch", "executions"), REFUSED, "can't be watched; a skill's are followed with 'aspora logs DOMAIN/SKILL'"),
    Failure(("logs", "hr/one", "--tail", "0"), USAGE, "--tail is 0; write a whole number from 1 to 1000"),
    Failure(("logs", "EXEC-1", "--tail", "2"), USAGE, "--tail is for a skill's executions, and 'EXEC-1' is one; leave"),
    Failure(("explain", "skill.spec.runtim"), REFUSED, "skill.spec has no field 'runtim'; did you mean 'runtime'?"),
    Failure(("apply", "-f", "broken.yaml"), REFUSED, "Error: broken.yaml:3:1: is not YAML: did not find expected ',' or '}}'"),
    Failure(("apply", "-f", "gone.yaml"), REFUSED, "Error: gone.yaml: does not exist; name a skill's folder"),
    Failure(("apply", "-f", "typo.yaml"), REFUSED, "spec.provder: unknown field 'provder'; did you mean 'provider'?"),
    Failure(("apply", "-f", "kind.yaml"), REFUSED, "skil/m: unknown kind 'Skil'; did you mean 'skill'?"),
    Failure(("apply", "-f", "version.yaml"), REFUSED, "version.yaml:1: apiVersion: must be 'aspora.dev/v1'"),
    Failure(("apply", "-f", "large.yaml"), REFUSED, "metadata.annotations: 300001 characters in all; at most 262144"),
    Failure(("create", "domain", "hr"), REFUSED, "there is a domain 'hr' already; change it with a manifest: aspora get"),
    Failure(("create", "apikey", "k", "--role", "admn", "-d", "hr"), REFUSED, "there is no role 'admn' cluster-wide; see"),
    Failure(("run", "hr/none", "x"), REFUSED, "skill 'none' not found in domain 'hr'; it has no skill yet: aspora apply"),
    Failure(("run", "hr/none", "--input-json", "input.json"), USAGE, "--input-json 'input.json' has more than 1048576 bytes, the most it may have; send less"),
    Failure(("edit", "skill", "no", "-d", "hr"), REFUSED, "Skill 'no' not found in domain 'hr'; see: aspora get skill"),
    Failure(("wait", "domain", "no", "--for", "condition=Ready", "--timeout", "1s"), REFUSED, "domain 'no' not found; see"),
    Failure(
        ("wait", "domain", "hr", "--for", "condition=Odd", "--timeout", "1s"), FAILED,
        "condition=Odd did not come in time for domain 'hr': it has no condition 'Odd' yet; see: aspora get domain",
    ),
    Failure(
        ("get", "domains"), REFUSED, "this is not an API key of Aspora; a key looks like aspora_<id>_<secret>",
        {"ASPORA_API_KEY": "hunter2"},
    ),
    Failure(
        ("delete", "domain", "hr"), REFUSED, "'ci' may not delete domains 'hr' cluster-wide; bind a role that allows it",
        {"ASPORA_API_KEY": "{viewer_key}"},
    ),
    Failure(
        ("get", "skills", "--as", "bob"), REFUSED, "'ci' may not act as somebody else; bind a role with the verb",
        {"ASPORA_API_KEY": "{viewer_key}"},
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the command lines are typed."""
    made = tmp_path_factory.mktemp("typed")
    for name, content in MANIFESTS.items():
        (made / name).write_text(content)
    return made


@pytest.fixture(scope="module")
def viewer_key(running_aspora: Aspora, folder: Path) -> str:
    """A key that may look at one domain."""
    running_aspora.ok("apply", "-f", str(folder / "hr.yaml"))
    return running_aspora.ok("create", "apikey", "ci", "--role", "viewer", "-d", "hr").split()[-1]


@pytest.fixture(scope="module")
def free_url() -> str:
    """An address at which nobody listens."""
    return f"http://127.0.0.1:{free_port()}"


def typed(failure: Failure, aspora: Aspora, folder: Path, **names: str) -> tuple[Done, str]:
    """What came of it, and what it must have said; in a process of its own where a connection would be left open."""
    added = {k: v.format(**names) for k, v in failure.environ.items()}
    told = failure.told.format(data_dir=aspora.data_dir, **names)
    if "viewer_key" in names:
        return Aspora(aspora.data_dir, {**aspora.environ, **added}).run(*failure.argv, cwd=folder), told
    command_line = InProcess(aspora.data_dir, {**aspora.environ, **added})
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            done = command_line.run(*failure.argv, cwd=folder)
    except SystemExit as e:  # What argparse refuses ends the process; its words go to the process's own stream.
        done = Done(int(str(e.code)), "", said.getvalue())
    return done, told


def require_readable(failure: Failure, done: Done, told: str) -> None:
    assert told in done.err, done.err
    assert done.code == failure.code
    assert done.code in exit_codes.MEANINGS
    assert done.err.startswith("Error: ")
    assert NEXT_STEP.search(done.err), "no next step"
    assert not UNREADABLE.search(done.err), done.err
    assert "hunter2" not in done.err
    assert done.out in {"", "1 failed\n"}, "nothing but a summary goes to standard output when nothing was done"


@pytest.mark.parametrize("failure", WITHOUT_SERVER, ids=str)
def test_without_a_server(failure: Failure, offline: Aspora, folder: Path, free_url: str) -> None:
    done, told = typed(failure, offline, folder, free_url=free_url)
    require_readable(failure, done, told)


@pytest.mark.parametrize("failure", WITH_SERVER, ids=str)
def test_with_a_server(failure: Failure, running_aspora: Aspora, folder: Path, viewer_key: str) -> None:
    done, told = typed(failure, running_aspora, folder, viewer_key=viewer_key)
    require_readable(failure, done, told)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_data_folder_of_another_user(offline: Aspora, folder: Path, tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12345)
    failure = Failure(
        ("up", "--data-dir", str(tmp_path)), REFUSED, "belongs to user '12345' and Aspora runs as 'root'; run"
    )
    done, told = typed(failure, offline, folder)
    require_readable(failure, done, told)


def test_a_stale_write_names_both_versions(running_aspora: Aspora, viewer_key: str) -> None:
    assert viewer_key
    hr = json.loads(running_aspora.ok("get", "domain", "hr", "-o", "json"))
    hr["metadata"]["resourceVersion"] = "1"
    code, answer = running_aspora.http("PUT", "/api/v1/domains/hr", hr)
    assert code == 409
    assert "Domain 'hr' has changed: it is at resourceVersion '" in answer["message"]
    assert answer["message"].endswith("', not '1'; read it again and redo the change")


def test_a_single_problem_is_told_with_its_field(running_aspora: Aspora, viewer_key: str) -> None:
    assert viewer_key
    code, answer = running_aspora.http("PUT", "/api/v1/domains/hr", {"kind": "Domain", "metadata": {"name": "hr"}})
    assert code == 422
    assert answer["message"] == "an update of Domain 'hr' needs the resourceVersion it is based on; read it again"
    assert answer["details"][0]["field"] == "metadata.resourceVersion"
