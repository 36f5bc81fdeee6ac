import pytest

from aspora.main.settings import Settings, SettingsError
from aspora.main.wiring import check_sandbox_driver, model_environment, read_config


def test_providers_may_name_model_variables_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MINE_API_KEY", "MINE_MODEL_URL", "MINE_SECRET", "ASPORA_API_KEY", "ASPORA_DATABASE_URL"):
        monkeypatch.setenv(name, "x")
    found = model_environment(Settings(model_url="http://127.0.0.1:1/v1"))
    assert found["MINE_API_KEY"] == found["MINE_MODEL_URL"] == "x"
    assert found["ASPORA_MODEL_URL"] == "http://127.0.0.1:1/v1"
    assert {"MINE_SECRET", "ASPORA_API_KEY", "ASPORA_DATABASE_URL"} & set(found) == set()


def test_a_child_gets_the_settings_it_was_sent() -> None:
    settings, rest = read_config('{"settings": {"data_dir": "/a/b", "port": 1}, "socket_fd": 7}')
    assert (str(settings.data_dir), settings.port, rest) == ("/a/b", 1, {"socket_fd": 7})


def test_a_sandbox_driver_that_nobody_has_is_a_bad_setting() -> None:
    with pytest.raises(SettingsError, match=r"^ASPORA_SANDBOX_DRIVER is 'docker'; known: process$"):
        check_sandbox_driver(Settings(sandbox_driver="docker"))
