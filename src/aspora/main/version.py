"""Aspora's own version, as installed."""

from importlib.metadata import PackageNotFoundError, version


def aspora_version() -> str:
    """The installed version, or `unknown` when run from a bare source tree."""
    try:
        return version("aspora")
    except PackageNotFoundError:
        return "unknown"
