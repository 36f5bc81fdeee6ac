"""Where a running Aspora can be found: the endpoint file of its data directory."""

import contextlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

FILE_NAME = "endpoint.json"
KEY_FILE_NAME = "admin.key"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A running Aspora.

    Attributes:
        url: The gateway's address.
        pid: The supervising process.
        version: Aspora's version.
        started_at: RFC 3339.
    """

    url: str
    pid: int
    version: str
    started_at: str


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads (mode 0600), whole or not at all."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as f:
            f.write(text)
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_endpoint(data_dir: Path, endpoint: Endpoint) -> None:
    """Publish the endpoint."""
    write_private(data_dir / FILE_NAME, json.dumps(asdict(endpoint)) + "\n")


def remove_endpoint(data_dir: Path) -> None:
    """Withdraw it; nothing to do when it is gone."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        (data_dir / FILE_NAME).unlink()


def read_endpoint(data_dir: Path) -> Endpoint | None:
    """The published endpoint, or None when there is none that can be read."""
    try:
        return Endpoint(**json.loads((data_dir / FILE_NAME).read_text()))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None
