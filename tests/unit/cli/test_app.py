import importlib
import io
import subprocess
import sys
from typing import Any

import pytest

from aspora.cli import exit_codes
from aspora.cli.app import build_parser, main
from aspora.cli.builtins import GROUPS, VERBS
from aspora.cli.output import Output
from aspora.main.entry import PLATFORM
from aspora.main.settings import load_settings


def run(*argv: str, environ: dict[str, str] | None = None) -> tuple[int, str, str]:
    out = Output(io.StringIO(), io.StringIO())

    def settings(_: Any, overrides: Any) -> Any:
        return load_settings(environ or {"ASPORA_DATA_DIR": "/nonexistent/aspora"}, overrides)

    code = main(argv, load_settings=settings, platform=PLATFORM, out=out)
    return code, out.stdout.getvalue(), out.stderr.getvalue()  # type: ignore[attr-defined]


def test_help_lists_every_verb_and_every_exit_code() -> None:
    code, out, _ = run("--help")
    assert code == exit_codes.OK
    assert all(f"  {verb} " in out for verb in VERBS)
    assert all(meaning in out for meaning in exit_codes.MEANINGS.values())
    assert sorted(v for names in GROUPS.values() for v in names) == sorted(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_examples(verb: str) -> None:
    module = importlib.import_module(VERBS[verb].module)
    text = build_parser(verb).format_help()
    assert f"aspora {verb}" in module.EXAMPLES
    assert "examples:" in text


def test_a_mistyped_verb_gets_the_nearest() -> None:
    code, _, err = run("aply")
    assert code == exit_codes.USAGE
    assert "did you mean 'aspora apply'" in err


@pytest.mark.parametrize("verb", ["get", "describe"])
def test_only_what_is_needed_is_asked_for(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(verb)
    assert "still needed: kind\n" in capsys.readouterr().err


def test_no_server_says_how_to_start_one() -> None:
    code, _, err = run("get", "skills")
    assert code == exit_codes.UNAVAILABLE
    assert "aspora up --detach" in err


def test_nothing_answers_at_that_address() -> None:
    environ = {"ASPORA_DATA_DIR": "/nonexistent/aspora", "ASPORA_API_KEY": "a-key"}
    code, _, err = run("get", "skills", "--url", "http://127.0.0.1:9", environ=environ)
    assert code == exit_codes.UNAVAILABLE
    assert "no gateway answers at http://127.0.0.1:9" in err


def test_an_address_that_is_none() -> None:
    code, _, err = run("get", "skills", "--url", "ftp://x")
    assert code == exit_codes.USAGE
    assert "write it like http://" in err


def test_an_unknown_setting_is_a_usage_error() -> None:
    code, _, err = run("config", environ={"ASPORA_PROT": "1"})
    assert code == exit_codes.USAGE
    assert "ASPORA_PORT" in err


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from aspora.main.entry import PLATFORM, load_settings; from aspora.cli.app import main\n"
        "main(['--help'], load_settings=load_settings, platform=PLATFORM)\n"
        "heavy = {'pydantic', 'yaml', 'asyncio', 'aiohttp', 'psycopg', 'http.client', 'importlib.metadata',"
        " 'subprocess', 'traceback', 'difflib', 'aspora.main.settings'} & set(sys.modules)\n"
        "print(sorted(heavy), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
