"""Structured logs."""

import io
import json
import logging
import re
from collections.abc import Generator

import pytest

from aspora.telemetry.logs import configure_logging, get_logger, log_fields


@pytest.fixture(autouse=True)
def _own_logging() -> Generator[None]:
    root = logging.getLogger()
    handlers, level, own = list(root.handlers), root.level, logging.getLogger("aspora").level
    pool = logging.getLogger("psycopg.pool").level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("aspora").setLevel(own)
    logging.getLogger("psycopg.pool").setLevel(pool)


def test_json_lines_hold_message_fields_and_surroundings() -> None:
    out = io.StringIO()
    configure_logging(form="json", stream=out)
    with log_fields(request="r1"):
        get_logger("aspora.x").info("object written", kind="Skill", name="a\nb")
        logging.getLogger("aspora.y").warning("plain", extra={"loop": "z"})
    get_logger("aspora.x").debug("not seen")
    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert (first["message"], first["kind"], first["name"], first["request"]) == (
        "object written",
        "Skill",
        "a\nb",
        "r1",
    )
    assert (second["level"], second["loop"]) == ("warning", "z")
    assert "request" not in json.loads(json.dumps(second))


def test_console_lines_quote_what_could_be_mistaken() -> None:
    out = io.StringIO()
    configure_logging(form="console", stream=out)
    get_logger("aspora.x").info("done", a="b c", d='"', e="plain", f="x\ny")
    line = out.getvalue()
    assert line.count("\n") == 1
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d I done  ", line), "a file is read on another day"
    assert r'a="b c" d="\"" e=plain f="x\ny"' in line


def test_an_error_brings_its_traceback() -> None:
    out = io.StringIO()
    configure_logging(form="json", stream=out)
    try:
        raise ValueError("why")
    except ValueError as e:
        get_logger("aspora.x").error("failed", error=e)
    assert "ValueError: why" in json.loads(out.getvalue())["traceback"]


@pytest.mark.parametrize(("level", "heard"), [("INFO", False), ("DEBUG", True)])
def test_each_try_of_the_connection_pool_is_for_developers(level: str, heard: bool) -> None:
    out = io.StringIO()
    configure_logging(level=level, stream=out)
    logging.getLogger("psycopg.pool").warning("error connecting in %r", "pool-1")
    logging.getLogger("another.library").warning("spoken")
    assert ("pool-1" in out.getvalue()) is heard
    assert "spoken" in out.getvalue()
