"""Parts made from settings: what more than one process needs."""

import json
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from aspora.artifacts.cache import ArtifactCache
from aspora.artifacts.interface import ArtifactStore
from aspora.artifacts.store import open_artifacts
from aspora.kit.clock import Clock
from aspora.main.settings import PREFIX, Settings
from aspora.models.catalog import Catalog
from aspora.models.defaults import default_objects
from aspora.sandbox.builtins import drivers
from aspora.sandbox.interface import SandboxDriver
from aspora.skills.archive import unpack
from aspora.skills.files import folder_digest
from aspora.telemetry.logs import configure_logging

PROVIDER_SUFFIXES = ("_API_KEY", "_MODEL_URL", "_MODEL_NAME")
"""Endings of the environment variables that a Provider may name."""


def settings_from_json(data: Mapping[str, Any]) -> Settings:
    """The settings that a parent process sent."""
    known = {f.name for f in fields(Settings)}
    values: dict[str, Any] = {k: v for k, v in data.items() if k in known}
    values["data_dir"] = Path(values["data_dir"])
    return Settings(**values)


def read_config(line: str) -> tuple[Settings, dict[str, Any]]:
    """A child's configuration: the settings, and what belongs to its role."""
    config: dict[str, Any] = json.loads(line)
    return settings_from_json(config.pop("settings")), config


def set_up_logging(settings: Settings) -> None:
    """Logs on standard error, as the settings say."""
    configure_logging(level=settings.log_level.upper(), form="json" if settings.log_format == "json" else "console")


def artifact_store(settings: Settings) -> ArtifactStore:
    """Where artifacts lie."""
    return open_artifacts(settings.artifacts_url or settings.artifacts_dir)


def artifact_cache(settings: Settings, store: ArtifactStore, clock: Clock) -> ArtifactCache:
    """Unpacked artifacts, checked, kept while they are used."""
    folder = settings.data_dir / "cache" / "artifacts"
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return ArtifactCache(store, folder=folder, unpack=unpack, digest_of_folder=folder_digest, clock=clock)


def sandbox_driver(settings: Settings, *, slots: int, warm: int) -> SandboxDriver:
    """The configured driver.

    Raises:
        UnknownExtension: No driver is called that; the message lists the known ones.
    """
    make = drivers.load(settings.sandbox_driver)
    return make(
        work_dir=settings.data_dir / "sandbox",
        runtime_dir=settings.runtime_dir,
        max_concurrency=slots,
        warm=min(warm, slots),
    )


def model_environment(settings: Settings) -> dict[str, str]:
    """What Provider objects may refer to by variable name: Aspora's model settings, and what is named as theirs are."""
    named = {k: v for k, v in os.environ.items() if k.endswith(PROVIDER_SUFFIXES) and not k.startswith(PREFIX)}
    return named | {
        "OPENROUTER_API_KEY": settings.openrouter_api_key,
        "ASPORA_MODEL_URL": settings.model_url,
        "ASPORA_MODEL_API_KEY": settings.model_api_key,
        "ASPORA_MODEL_NAME": settings.model_name,
    }


def shipped_catalog(settings: Settings) -> Catalog:
    """The models that ship with Aspora, for work without a server."""
    objects = default_objects()
    models = [o for o in objects if o["kind"] == "Model"]
    providers = [o for o in objects if o["kind"] == "Provider"]
    return Catalog(models, providers, environment=model_environment(settings))
