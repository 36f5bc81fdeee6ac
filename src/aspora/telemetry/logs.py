"""Structured logs: a constant message plus key/values, as lines of JSON or for a terminal.

    log = get_logger(__name__)
    log.info("object written", kind="Skill", name="detect-velocity")

Fields of the surrounding work (a request's id) are added by `log_fields`. Messages never hold a value; values never
hold a secret or a prompt.
"""

import json
import logging
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

LogFormat = Literal["json", "console"]

_FIELDS: ContextVar[Mapping[str, object]] = ContextVar("aspora_log_fields")
_NONE: Mapping[str, object] = {}
_ROOT = "aspora"
_RETRYING = ("psycopg.pool",)
"""Libraries that warn at every try of what they try again; Aspora's own lines say what came of it."""
_RECORD_KEYS = frozenset(logging.makeLogRecord({}).__dict__) | {"fields", "message", "asctime", "taskName"}
_LEVEL_LETTER = {"DEBUG": "D", "INFO": "I", "WARNING": "W", "ERROR": "E", "CRITICAL": "C"}


class Logger:
    """A named logger that takes key/values instead of format arguments."""

    __slots__ = ("_logger",)

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, message: str, **fields: object) -> None:
        """What only a developer wants to see."""
        self._log(logging.DEBUG, message, fields)

    def info(self, message: str, **fields: object) -> None:
        """What an operator wants to see in good times."""
        self._log(logging.INFO, message, fields)

    def warning(self, message: str, **fields: object) -> None:
        """What works, yet not as it should."""
        self._log(logging.WARNING, message, fields)

    def error(self, message: str, *, error: BaseException | None = None, **fields: object) -> None:
        """What failed; with `error`, its traceback goes along."""
        self._log(logging.ERROR, message, fields, error=error)

    def _log(
        self, level: int, message: str, fields: Mapping[str, object], *, error: BaseException | None = None
    ) -> None:
        if self._logger.isEnabledFor(level):
            around = _FIELDS.get(_NONE)
            self._logger.log(level, message, exc_info=error, extra={"fields": {**around, **fields}})


def get_logger(name: str) -> Logger:
    """The logger of a module; call it with `__name__`."""
    return Logger(logging.getLogger(name))


@contextmanager
def log_fields(**fields: object) -> Generator[None]:
    """Add fields to every line that this task logs inside the block."""
    token = _FIELDS.set({**_FIELDS.get(_NONE), **fields})
    try:
        yield
    finally:
        _FIELDS.reset(token)


def _fields_of(record: logging.LogRecord) -> Mapping[str, Any]:
    """Our own fields, and what other modules gave to plain `logging` as `extra`."""
    extra = {k: v for k, v in record.__dict__.items() if k not in _RECORD_KEYS}
    return {**extra, **record.__dict__.get("fields", _NONE)}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time`, `level`, `logger`, `message`, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update({k: v for k, v in _fields_of(record).items() if k not in line})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class ConsoleFormatter(logging.Formatter):
    """For people: `10:15:02 I object written  kind=Skill name=detect-velocity`.

    Args:
        dated: Whether the date stands before the time, as whoever reads a file later wants it.
    """

    def __init__(self, *, dated: bool = False) -> None:
        super().__init__()
        self._instant = "%Y-%m-%d %H:%M:%S" if dated else "%H:%M:%S"

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        clock = datetime.fromtimestamp(record.created, UTC).astimezone().strftime(self._instant)
        fields = " ".join(f"{k}={_quoted(v)}" for k, v in _fields_of(record).items())
        line = f"{clock} {_LEVEL_LETTER.get(record.levelname, '?')} {record.getMessage()}"
        line = f"{line}  {fields}" if fields else line
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _quoted(value: object) -> str:
    """The value as one word: quoted when it holds a space, a quote or a control character."""
    text = str(value)
    plain = text.isprintable() and not any(c in text for c in ' "=')
    return text if plain and text else json.dumps(text, ensure_ascii=False)


def configure_logging(*, level: str = "INFO", form: LogFormat = "console", stream: TextIO | None = None) -> None:
    """Send Aspora's log lines to a stream (standard error by default); other libraries speak from WARNING on.

    Those that warn at every retry speak from ERROR on, unless the level is DEBUG.

    Raises:
        ValueError: The level is not one of logging's names.
    """
    target = stream or sys.stderr
    handler = logging.StreamHandler(target)
    handler.setFormatter(JsonFormatter() if form == "json" else ConsoleFormatter(dated=not target.isatty()))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger(_ROOT).setLevel(level.upper())
    for name in _RETRYING:
        logging.getLogger(name).setLevel(logging.WARNING if level.upper() == "DEBUG" else logging.ERROR)
