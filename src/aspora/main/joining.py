"""What a process of its own needs to find: the database, a gateway, and whether it shares their artifacts."""

import contextlib
import hashlib
import os
import socket
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from psycopg.conninfo import conninfo_to_dict

from aspora.artifacts.interface import ArtifactStore
from aspora.client.http_transport import HttpTransport
from aspora.db.data_dir import lock_is_held
from aspora.db.pool import target_of
from aspora.main.control import running_endpoint
from aspora.main.endpoint import write_private
from aspora.main.settings import Settings
from aspora.meta.errors import Invalid, StatusError, Unavailable
from aspora.telemetry.logs import get_logger

DATABASE_FILE_NAME: Final = "database.url"
_SAMPLES: Final = 3
_log = get_logger(__name__)


def publish_database(data_dir: Path, dsn: str) -> None:
    """Let processes of the same user and machine find the embedded database; only that user can read the file."""
    write_private(data_dir / DATABASE_FILE_NAME, dsn + "\n")


def withdraw_database(data_dir: Path) -> None:
    """The embedded database stops."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        (data_dir / DATABASE_FILE_NAME).unlink()


def database_url(settings: Settings) -> str:
    """The configured database, or the embedded one that another process keeps over the data directory.

    Raises:
        Unavailable: There is neither; says what would do.
    """
    if settings.database_url:
        return settings.database_url
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        found = (settings.data_dir / DATABASE_FILE_NAME).read_text().strip()
        if found and lock_is_held(settings.data_dir):
            return found
    raise Unavailable(
        f"no database: ASPORA_DATABASE_URL is not set, and nobody runs one with data directory"
        f" {str(settings.data_dir)!r}; set it to postgresql://…, or start one there: aspora database"
    )


def database_shown(settings: Settings) -> str:
    """Where the database is, fit for a message: never the password."""
    return target_of(conninfo_to_dict(settings.database_url))


def gateway_url(settings: Settings) -> str:
    """The gateway to talk to: the one that is set, or that of the Aspora which runs over the data directory.

    Raises:
        Unavailable: There is neither; says what would do.
    """
    if settings.url:
        return settings.url
    endpoint = running_endpoint(settings.data_dir)
    if endpoint is not None:
        return endpoint.url
    raise Unavailable(
        "no gateway: ASPORA_URL is not set; set it to the address of a gateway, or of the load balancer before several"
    )


def gateway_transport(settings: Settings, url: str, *, api_key: str) -> HttpTransport:
    """Requests to that gateway, trusting `ASPORA_CA_FILE` where it is set.

    Raises:
        Invalid: The address or the certificates can't be used.
    """
    context: ssl.SSLContext | None = None
    try:
        if settings.ca_file and url.startswith("https:"):
            context = ssl.create_default_context(cafile=settings.ca_file)
        return HttpTransport(url, api_key=api_key, ssl_context=context)
    except OSError as error:
        raise Invalid(
            f"ASPORA_CA_FILE {settings.ca_file!r} can't be used: {error.strerror or 'it is no certificate'};"
            " name a PEM file"
        ) from None
    except ValueError as error:
        raise Invalid(f"ASPORA_URL: {error}") from None


def place_of(data_dir: Path) -> str:
    """A name for this data directory of this machine, fit for a label: the same at each start."""
    text = f"{socket.gethostname()}:{data_dir}"
    return "up-" + hashlib.sha256(os.fsencode(text)).hexdigest()[:16]


async def warn_of_other_artifacts(artifacts: ArtifactStore, revisions: Sequence[Mapping[str, Any]]) -> bool:
    """Say so when none of the newest revisions has its files here: this process looks where others do not write.

    Returns:
        True when that is so. An artifact store that can't be asked is no proof.
    """
    newest = sorted(revisions, key=lambda r: str(r["metadata"].get("creationTimestamp", "")), reverse=True)[:_SAMPLES]
    digests = [
        d for d in (((r["spec"].get("skillSpec") or {}).get("artifact") or {}).get("digest") for r in newest) if d
    ]
    try:
        found = [await artifacts.exists(str(digest)) for digest in digests]
    except StatusError as error:
        _log.warning("artifact store not looked into", reason=error.reason, why=error.message)
        return False
    if not found or any(found):
        return False
    _log.error(
        "the newest revisions' artifacts are not here: gateways and executors must share one artifact store",
        looked_for=len(found),
        remedy="set ASPORA_ARTIFACTS_URL to the same bucket or shared folder in every process",
    )
    return True
