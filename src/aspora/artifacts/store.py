"""Artifacts in an object store: a local folder by default, a bucket by URL. Keys are `sha256/<2 hex>/<64 hex>`."""

import asyncio
import os
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from aspora.artifacts.interface import ArtifactDamaged, digest_of, hex_of
from aspora.meta.errors import Invalid, NotFound, Unavailable

_LARGE_BYTES: Final = 2**20


class ObjectArtifacts:
    """An artifact store over any object store.

    Args:
        store: Where the bytes go.
        place: Its name for people, in errors.
        folder: The folder of a local store, so that writes can be forced to the disk; None for a remote one.
    """

    def __init__(self, store: ObjectStore, *, place: str, folder: Path | None = None) -> None:
        self._store = store
        self._place = place
        self._folder = folder

    async def put(self, data: bytes) -> str:
        """Keep the bytes; see `ArtifactStore.put`."""
        digest = await _digest_of(data)
        key = _key(digest)
        try:
            try:
                await self._store.put_async(key, data, mode="create")
            except AlreadyExistsError:
                if await self._is_sound(digest):
                    return digest
                await self._store.put_async(key, data, mode="overwrite")
            if self._folder is not None:
                await asyncio.to_thread(_force_to_disk, self._folder / key)
        except (BaseError, OSError) as error:
            raise Unavailable(
                f"{self._place} took no artifact of {len(data)} bytes: {_reason(error)}; free space or mend the store"
            ) from None
        return digest

    async def get(self, digest: str) -> bytes:
        """The bytes; see `ArtifactStore.get`."""
        data = await self._read(digest)
        found = await _digest_of(data)
        if found != digest:
            raise ArtifactDamaged(
                f"artifact {digest!r} is damaged in {self._place}: its bytes have the digest {found!r}; apply it again"
            )
        return data

    async def exists(self, digest: str) -> bool:
        """Whether it is there; see `ArtifactStore.exists`."""
        key = _key(digest)
        try:
            await self._store.head_async(key)
        except FileNotFoundError:
            return False
        except (BaseError, OSError) as error:
            raise self._unreadable(digest, error) from None
        return True

    async def _read(self, digest: str) -> bytes:
        key = _key(digest)
        try:
            found = await self._store.get_async(key)
            return bytes(await found.bytes_async())
        except FileNotFoundError:
            raise NotFound(f"artifact {digest!r} is not in {self._place}; apply the skill again") from None
        except (BaseError, OSError) as error:
            raise self._unreadable(digest, error) from None

    async def _is_sound(self, digest: str) -> bool:
        try:
            await self.get(digest)
        except (ArtifactDamaged, NotFound):
            return False
        return True

    def _unreadable(self, digest: str, error: Exception) -> Unavailable:
        return Unavailable(f"artifact {digest!r} can't be read from {self._place}: {_reason(error)}")


def open_artifacts(location: str | Path) -> ObjectArtifacts:
    """The store at a folder or URL; a folder is made when it is missing.

    Args:
        location: A path, or `file://…`, `s3://bucket/prefix`, `gs://…`, `az://…`. A bucket's credentials come from the
            environment variables of its own tools.

    Raises:
        Unavailable: The folder can't be made.
        Invalid: No such kind of store.
    """
    parts = urlsplit(str(location))
    if parts.scheme in {"", "file"} or isinstance(location, Path):
        folder = Path(unquote(parts.path) if parts.scheme == "file" else location).absolute()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise Unavailable(f"artifact folder {str(folder)!r} can't be made: {error.strerror}") from None
        return ObjectArtifacts(LocalStore(folder), place=f"folder {str(folder)!r}", folder=folder)
    try:
        store = from_url(str(location))
    except (BaseError, OSError, ValueError) as error:
        raise Invalid(
            f"no artifact store at {parts.scheme + '://' + (parts.hostname or '')!r}: {_reason(error)}; "
            "use a folder or a URL like s3://bucket/prefix"
        ) from None
    return ObjectArtifacts(store, place=f"{parts.scheme} bucket {parts.hostname!r}")


async def _digest_of(data: bytes) -> str:
    """The digest; a large artifact's is made in a thread, since it takes tens of milliseconds."""
    return await asyncio.to_thread(digest_of, data) if len(data) > _LARGE_BYTES else digest_of(data)


def _key(digest: str) -> str:
    digits = hex_of(digest)
    return f"sha256/{digits[:2]}/{digits}"


def _reason(error: Exception) -> str:
    """The first line: what follows it is the library's own debug text."""
    return str(error).split("\n", 1)[0][:300]


def _force_to_disk(path: Path) -> None:
    for target in (path, path.parent, path.parent.parent):
        fd = os.open(target, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
