"""The Model and Provider objects that ship with Aspora, read from `defaults.yaml`."""

from importlib import resources
from typing import Any, cast

import yaml


def default_objects() -> list[dict[str, Any]]:
    """All shipped objects in wire form, providers first."""
    text = resources.files("aspora.models").joinpath("defaults.yaml").read_text(encoding="utf-8")
    return [cast("dict[str, Any]", document) for document in yaml.safe_load_all(text)]
