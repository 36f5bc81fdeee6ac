"""During an upgrade two releases run side by side: the older one must not write over what it can't read."""

from aspora.apis.kind import Kind
from aspora.meta.errors import Conflict
from aspora.store.forms import STORED_VERSION, version_of
from aspora.store.interface import Wire


def require_known_form(kind: Kind, old: Wire) -> None:
    """Refuse to change an object that a newer release has stored.

    Raises:
        Conflict: Its schema version is beyond this process's; the store leaves the mark on such objects alone.
    """
    if STORED_VERSION in old:
        raise Conflict(
            f"{kind.kind} {old['metadata']['name']!r} was stored by a newer Aspora (schema version {version_of(old)},"
            f" this one knows {kind.storage_version}); write it through a gateway of that release, or upgrade this one"
        )
