"""What can be known to be wrong before anything is made or started, so that it is told at once and leaves nothing."""

from aspora.db.pool import Database
from aspora.main.listening import check_certificate, check_exposure
from aspora.main.secret_key import check_secret_key_file
from aspora.main.settings import Settings
from aspora.main.wiring import artifact_store, check_sandbox_driver


async def check_before_start(settings: Settings) -> None:
    """Try what the settings name, but for what lies in the data directory.

    Raises:
        SettingsError: A setting can't be meant so.
        StatusError: What it names can't be used; the message says which and what would do, never a password.
    """
    check_exposure(settings)
    check_certificate(settings)
    check_secret_key_file(settings)
    check_sandbox_driver(settings)
    if settings.database_url:
        await (await Database.open(settings.database_url, max_size=1)).close()
    if settings.artifacts_url:
        artifact_store(settings)
