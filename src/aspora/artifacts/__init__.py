"""Content-addressed blobs: put, get with digest check, and a local cache of unpacked ones.

Knows bytes and digests, not skills: how an archive is unpacked is handed in.
"""

from aspora.artifacts.cache import ArtifactCache
from aspora.artifacts.interface import ArtifactDamaged, ArtifactStore, digest_of
from aspora.artifacts.store import ObjectArtifacts, open_artifacts

__all__ = ["ArtifactCache", "ArtifactDamaged", "ArtifactStore", "ObjectArtifacts", "digest_of", "open_artifacts"]
