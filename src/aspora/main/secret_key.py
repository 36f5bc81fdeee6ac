"""The installation's secret key at a start: found, compared with the database, or made once; its loss is only told."""

from aspora.db.pool import Database
from aspora.main.settings import Settings, SettingsError
from aspora.meta.errors import Invalid, StatusError
from aspora.sealing.check import settle_key
from aspora.sealing.cipher import SecretKey, new_key
from aspora.sealing.key_file import find_key, read_key_file, write_key
from aspora.sealing.keyring import Keyring
from aspora.telemetry.logs import get_logger

log = get_logger(__name__)


def key_place(settings: Settings) -> str:
    """Where the key is looked for, for people."""
    return "ASPORA_SECRET_KEY" if settings.secret_key else str(settings.secret_key_path)


def check_secret_key_file(settings: Settings) -> None:
    """Refuse a setting that names what can be no key file, before anything slow starts; a lost key is told later.

    Raises:
        SettingsError: It names a folder, a device or a pipe, or a file too large for a key.
    """
    if settings.secret_key or not settings.secret_key_file:
        return
    try:
        read_key_file(settings.secret_key_path)
    except Invalid as e:
        raise SettingsError(f"ASPORA_SECRET_KEY_FILE: {e.message}") from None
    except (FileNotFoundError, StatusError):
        return


async def open_keyring(settings: Settings, database: Database) -> Keyring:
    """The key as this process will use it. A missing or wrong one stops nothing but the work with secrets."""

    def find() -> SecretKey | None:
        return find_key(settings.secret_key, settings.secret_key_path)

    def make() -> SecretKey:
        key = new_key()
        write_key(settings.secret_key_path, key.text)
        log.info("made the secret key; keep a copy of it in another place", place=key_place(settings), key=key.key_id)
        return key

    state = await settle_key(database, find, make, place=key_place(settings))
    if state.fault:
        log.error("secrets can't be used", reason=state.fault, why=state.message)
    return Keyring(state, find)
