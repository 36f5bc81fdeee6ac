"""Stored forms of objects: which schema version one is in, and how it is read in the newest.

An object of schema version 1 says nothing; a later one carries `schemaVersion` beside its `spec`. Readers get the
newest form without that mark; a write stores the newest. Nothing is rewritten by itself.
"""

from collections.abc import Mapping
from typing import Any, Final, Protocol

from aspora.store.interface import Wire

STORED_VERSION: Final = "schemaVersion"


class Forms(Protocol):
    """Knows the schema versions of kinds."""

    def newest(self, kind: str) -> int:
        """The schema version that this process writes; 1 for a kind that never changed."""
        ...

    def convert(self, kind: str, obj: Wire, *, version: int) -> Wire:
        """The object in the newest form, from an older one. Pure: the same answer each time."""
        ...


class OneForm:
    """For kinds that never changed."""

    def newest(self, kind: str) -> int:
        """Always 1."""
        return 1

    def convert(self, kind: str, obj: Wire, *, version: int) -> Wire:
        """As it is."""
        return obj


def version_of(obj: Mapping[str, Any]) -> int:
    """The schema version that an object is stored in."""
    return int(obj.get(STORED_VERSION, 1))


def read_form(forms: Forms, kind: str, obj: Wire) -> Wire:
    """A stored object as readers get it. One that a newer Aspora stored stays as it is, its mark too: nobody may write
    it here (see gateway.objects.writes)."""
    version, newest = version_of(obj), forms.newest(kind)
    if version > newest or (version == newest == 1):
        return obj
    plain = {name: value for name, value in obj.items() if name != STORED_VERSION}
    return plain if version == newest else forms.convert(kind, plain, version=version)


def stamp(forms: Forms, item: dict[str, Any], present: Wire | None) -> None:
    """Make an item of `aspora_write_objects` store the newest form.

    Args:
        item: Of a kind that has changed its form; see aspora.store.payload.
        present: The object as it is stored now; None when it is not there.
    """
    kind, newest = item["kind"], forms.newest(item["kind"])
    if "object" not in item:
        return
    item["object"][STORED_VERSION] = newest
    if present is None or version_of(present) >= newest:
        return
    old = read_form(forms, kind, present)
    if item["op"] == "update_status":
        item["object"]["spec"] = old.get("spec")
    else:
        # What the conversion alone changed is no change of what is wanted: the generation stays.
        item["comparedSpec"] = old.get("spec")
        if "status" in old:
            item["convertedStatus"] = old["status"]
