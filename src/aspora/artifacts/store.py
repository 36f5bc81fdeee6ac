"""Artifacts in an object store: a local folder by default, a bucket by URL. Keys are `sha256/<2 hex>/<64 hex>`."""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from aspora.artifacts.interface import ArtifactDamaged, digest_of, hex_of
from aspora.meta.errors import Invalid, NotFound, Unavailable

DEADLINE_SECONDS: Final = 20.0
"""For one operation, tries again included; enough for the largest artifact on a line of 30 Mbit/s."""

_LARGE_BYTES: Final = 2**20
_RETRY_SECONDS: Final = 5.0
"""A bucket that fails is asked again for so long."""

_CONNECT_SECONDS: Final = 2.0


class ObjectArtifacts:
    """An artifact store over any object store.

    Args:
        store: Where the bytes go.
        place: Its name for people, in errors.
        folder: The folder of a local store, so that writes can be forced to the disk; None for a remote one.
        deadline_seconds: For one operation.
    """

    def __init__(
        self,
        store: ObjectStore,
        *,
        place: str,
        folder: Path | None = None,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        self._store = store
        self._place = place
        self._folder = folder
        self._deadline_seconds = deadline_seconds

    async def put(self, data: bytes) -> str:
        """Keep the bytes; see `ArtifactStore.put`."""
        digest = await _digest_of(data)
        key = _key(digest)
        try:
            async with self._in_time():
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
            async with self._in_time():
                await self._store.head_async(key)
        except FileNotFoundError:
            return False
        except (BaseError, OSError) as error:
            raise self._unreadable(digest, error) from None
        return True

    async def _read(self, digest: str) -> bytes:
        key = _key(digest)
        try:
            async with self._in_time():
                found = await self._store.get_async(key)
                return bytes(await found.bytes_async())
        except FileNotFoundError:
            raise NotFound(
                f"artifact {digest!r} is not in {self._place}; apply the skill again, or let every process use the same"
                " ASPORA_ARTIFACTS_URL"
            ) from None
        except (BaseError, OSError) as error:
            raise self._unreadable(digest, error) from None

    async def _is_sound(self, digest: str) -> bool:
        try:
            await self.get(digest)
        except (ArtifactDamaged, NotFound):
            return False
        return True

    @asynccontextmanager
    async def _in_time(self) -> AsyncGenerator[None]:
        """Give the block its deadline.

        Raises:
            Unavailable: It was not done in time.
        """
        limit = asyncio.timeout(self._deadline_seconds)
        try:
            async with limit:
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            raise Unavailable(
                f"{self._place} did not answer within {self._deadline_seconds:g} s; "
                "see that the store is up, and try again",
                retry_after_seconds=1,
            ) from None

    def _unreadable(self, digest: str, error: Exception) -> Unavailable:
        return Unavailable(
            f"artifact {digest!r} can't be read from {self._place}: {_reason(error)}; "
            "see that the store is up and ASPORA_ARTIFACTS_URL names it"
        )


def open_artifacts(location: str | Path, *, deadline_seconds: float = DEADLINE_SECONDS) -> ObjectArtifacts:
    """The store at a folder or URL; a folder is made when it is missing.

    Args:
        location: A path, or `file://…`, `s3://bucket/prefix`, `gs://…`, `az://…`. A bucket's credentials and endpoint
            come from the environment variables of its own tools, such as `AWS_ACCESS_KEY_ID` and `AWS_ENDPOINT_URL`.
        deadline_seconds: For one operation.

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
            raise Unavailable(
                f"artifact folder {str(folder)!r} can't be made: {error.strerror}; "
                "name a place that this user can write by ASPORA_ARTIFACTS_URL"
            ) from None
        return ObjectArtifacts(LocalStore(folder), place=f"folder {str(folder)!r}", folder=folder)
    try:
        store = from_url(
            str(location),
            client_options={
                "allow_http": True,  # An endpoint in plain HTTP is the operator's own word.
                "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
                "timeout": timedelta(seconds=deadline_seconds),
            },
            retry_config={"max_retries": 5, "retry_timeout": timedelta(seconds=_RETRY_SECONDS)},
        )
    except (BaseError, OSError, ValueError) as error:
        shown = f"{parts.scheme}://{parts.hostname or ''}"
        raise Invalid(
            f"no artifact store at {shown!r} (ASPORA_ARTIFACTS_URL): {_reason(error).replace(str(location), shown)}; "
            "use a folder or a URL like s3://bucket/prefix"
        ) from None
    place = f"{parts.scheme} bucket {parts.hostname!r}"
    return ObjectArtifacts(store, place=place, deadline_seconds=deadline_seconds)


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
