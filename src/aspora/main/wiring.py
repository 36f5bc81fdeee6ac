"""Parts made from settings: what more than one process needs."""

import json
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from aspora.artifacts.cache import ArtifactCache
from aspora.artifacts.interface import ArtifactStore, BlobCache
from aspora.artifacts.memory_blobs import MemoryBlobs
from aspora.artifacts.store import open_artifacts
from aspora.artifacts.tiers import CachedArtifacts
from aspora.kit.clock import Clock, SystemClock
from aspora.kit.registry import load_object
from aspora.main.settings import PREFIX, Settings, SettingsError
from aspora.meta.errors import Invalid
from aspora.models.catalog import Catalog
from aspora.models.defaults import default_objects
from aspora.sandbox.builtins import drivers
from aspora.sandbox.interface import SandboxDriver
from aspora.skills.archive import unpack
from aspora.skills.files import folder_digest
from aspora.telemetry.cache_metrics import CacheCounts
from aspora.telemetry.caches import CacheMeter
from aspora.telemetry.logs import configure_logging
from aspora.telemetry.metrics import Metrics

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


def cached_artifacts(settings: Settings, store: ArtifactStore, metrics: Metrics) -> CachedArtifacts:
    """The same artifacts behind this process's memory and, where one is configured, a Redis that nodes share.

    For readers alone: whoever must know that the store itself is sound asks the store.

    Raises:
        Invalid: A Redis is configured, and its address or the installation can't be used.
    """
    near = CacheCounts(metrics, "blobs-memory")
    tiers: list[tuple[BlobCache, CacheMeter]] = [(MemoryBlobs(near), near)]
    if settings.redis_url:
        shared = CacheCounts(metrics, "blobs-redis")
        try:
            make = load_object("aspora.artifacts.redis_blobs:RedisBlobs")
        except ModuleNotFoundError as error:
            if error.name != "redis":
                raise
            raise Invalid("ASPORA_REDIS_URL needs the package redis; install it: pip install 'aspora[redis]'") from None
        tiers.append((make(settings.redis_url, shared, SystemClock()), shared))
    return CachedArtifacts(store, tiers)


def artifact_cache(
    settings: Settings, store: ArtifactStore, clock: Clock, metrics: Metrics | None = None
) -> ArtifactCache:
    """Unpacked artifacts, checked, kept while they are used."""
    folder = settings.data_dir / "cache" / "artifacts"
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    meter = CacheCounts(metrics or Metrics(), "artifact-folders")
    return ArtifactCache(store, folder=folder, unpack=unpack, digest_of_folder=folder_digest, clock=clock, meter=meter)


def check_sandbox_driver(settings: Settings) -> None:
    """Refuse the name of a driver that nobody has, before anything slow starts.

    Raises:
        SettingsError: The message lists the known ones.
    """
    name, known = settings.sandbox_driver, drivers.names()
    if name not in known:
        raise SettingsError(f"ASPORA_SANDBOX_DRIVER is {name!r}; known: {', '.join(sorted(known))}")


def sandbox_driver(settings: Settings, *, slots: int, warm: int) -> SandboxDriver:
    """The configured driver.

    Raises:
        SettingsError: No driver is called that; the message lists the known ones.
    """
    check_sandbox_driver(settings)
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
