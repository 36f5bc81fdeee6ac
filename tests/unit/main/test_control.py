import io
from pathlib import Path
from typing import Any

from aspora.cli.output import Output
from aspora.cli.rest import place_option
from aspora.main.control import status
from aspora.main.settings import Settings


class Gateway:
    """Answers what `aspora status` asks, with nodes in these states."""

    url = "http://127.0.0.1:7700"

    def __init__(self, **states: str) -> None:
        self.nodes = [{"metadata": {"name": name}, "status": {"state": state}} for name, state in states.items()]

    def call(self, _method: str, path: str, **_more: Any) -> Any:
        if path == "/version":
            return {"version": "1.0.0"}
        return {"status": "ok"}

    def items(self, path: str) -> list[Any]:
        return self.nodes if path.endswith("/nodes") else []


def told(gateway: Any, data_dir: Path) -> str:
    out = Output(io.StringIO(), io.StringIO())
    assert status(Settings(data_dir=data_dir), out, connect=lambda: gateway, as_json=False) == 0
    return out.stdout.getvalue()  # type: ignore[attr-defined]


def test_only_nodes_that_live_are_listed(tmp_path: Path) -> None:
    shown = told(Gateway(old="Stopped", gone="Lost", here="Alive"), tmp_path)
    assert "here" in shown
    assert "old" not in shown
    assert "gone" not in shown
    assert "nothing runs executions" in told(Gateway(old="Stopped"), tmp_path)


def test_the_next_steps_mean_this_aspora() -> None:
    assert place_option({}) == place_option({"data_dir": None}) == ""
    assert place_option({"data_dir": Path("/my data")}) == " --data-dir '/my data'"
