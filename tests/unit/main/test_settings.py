from dataclasses import fields
from pathlib import Path

import pytest

from aspora.main.settings import Settings, SettingsError, env_name, explain_settings, load_settings, without_secrets


def test_defaults_are_local_and_private() -> None:
    settings = load_settings({"HOME": "/home/x"})
    assert (settings.host, settings.port, settings.allow_plaintext) == ("127.0.0.1", 7700, False)
    assert settings.sandbox_driver == "process"


def test_environment_and_options_in_that_order() -> None:
    environ = {"ASPORA_PORT": "8000", "ASPORA_DATA_DIR": "/a/b", "ASPORA_ALLOW_PLAINTEXT": "yes"}
    settings = load_settings(environ, {"data_dir": Path("/c"), "url": None})
    assert (settings.port, settings.data_dir, settings.allow_plaintext) == (8000, Path("/c"), True)


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("ASPORA_PROT", "1", "did you mean 'ASPORA_PORT'"),
        ("ASPORA_PORT", "many", "whole number"),
        ("ASPORA_PORT", "70000", "0 to 65535"),
        ("ASPORA_ALLOW_PLAINTEXT", "maybe", "true or false"),
        ("ASPORA_LOG_LEVEL", "loud", "one of debug"),
        ("ASPORA_SECRET_KEY", "abc", "64 hex digits; .*unset it"),
    ],
)
def test_a_bad_setting_is_named_with_what_would_do(name: str, value: str, hint: str) -> None:
    with pytest.raises(SettingsError, match=hint) as caught:
        load_settings({name: value})
    assert name in str(caught.value)


@pytest.mark.parametrize("url", ["not-a-url", "http://user:hunter2@h/v1", "http://h/v1?key=hunter2", "hunter2"])
def test_a_model_endpoint_that_is_none_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(SettingsError, match=r"ASPORA_MODEL_URL is not a URL.*write it like http://") as caught:
        load_settings({"ASPORA_MODEL_URL": url})
    assert url not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_model_endpoint_is_taken_as_written() -> None:
    assert load_settings({"ASPORA_MODEL_URL": " http://h:1/v1/\n"}).model_url == "http://h:1/v1/"


def test_secrets_are_never_explained() -> None:
    environ = {
        "ASPORA_API_KEY": "hunter2",
        "OPENROUTER_API_KEY": "hunter2",
        "ASPORA_DATABASE_URL": "postgresql://u:hunter2@h/d",
    }
    rows = explain_settings(load_settings(environ), environ, {})
    assert "hunter2" not in repr(rows)
    shown = {r.env: (r.value, r.source) for r in rows}
    assert shown["ASPORA_API_KEY"] == ("(set)", "environment")
    assert shown["ASPORA_PORT"] == ("7700", "default")


def test_an_environment_without_secrets_keeps_all_else() -> None:
    secret = {env_name(f): "hunter2" for f in fields(Settings) if f.metadata["secret"]}
    assert {"OPENROUTER_API_KEY", "ASPORA_DATABASE_URL"} <= set(secret)
    rest = {"PATH": "/bin", "ASPORA_PORT": "7700"}
    assert without_secrets(secret | rest) == rest


def test_every_setting_says_what_it_does() -> None:
    for f in fields(Settings):
        assert f.metadata["doc"].endswith("."), env_name(f)
