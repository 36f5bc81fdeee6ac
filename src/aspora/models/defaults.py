"""The Model, Provider and ModelRouting objects that ship with Aspora, read from `defaults.yaml`."""

from importlib import resources
from typing import Any, cast

import yaml

from aspora.apis.model_routing import ModelRoutingSpec


def default_objects() -> list[dict[str, Any]]:
    """All shipped objects in wire form, providers first."""
    text = resources.files("aspora.models").joinpath("defaults.yaml").read_text(encoding="utf-8")
    return [cast("dict[str, Any]", document) for document in yaml.safe_load_all(text)]


def shipped_routing() -> ModelRoutingSpec:
    """How models are chosen where no server says otherwise."""
    routing = next(obj for obj in default_objects() if obj["kind"] == "ModelRouting")
    return ModelRoutingSpec.model_validate(routing["spec"])
