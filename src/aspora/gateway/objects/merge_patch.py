"""JSON merge patch: what is given replaces, null removes, objects merge.

Source: RFC 7386.
"""

from collections.abc import Mapping
from typing import Any

MERGE_PATCH_TYPE = "application/merge-patch+json"


def merge_patch(target: Any, patch: Any) -> Any:
    """The target with the patch applied; neither is changed."""
    if not isinstance(patch, Mapping):
        return patch
    merged: dict[str, Any] = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged
