"""Where the key lies: a file of mode 0600, or a setting. It is made once and never overwritten."""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from aspora.meta.errors import Conflict, Forbidden, Invalid
from aspora.sealing.cipher import SecretKey, parse_secret_key

OTHERS = 0o077
MAX_BYTES = 4096
"""No key file has more: a key is 64 hex digits."""


def find_key(text: str, path: Path) -> SecretKey | None:
    """The key of the setting when it has one, else of the file; None when there is neither.

    Raises:
        Invalid: It is no key.
        Forbidden: The file can't be read.
    """
    if text:
        return parse_secret_key(text)
    try:
        return parse_secret_key(read_key_file(path).decode("ascii"))
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        return parse_secret_key("")


def read_key_file(path: Path) -> bytes:
    """What the file holds, be it a key or not.

    Raises:
        FileNotFoundError: There is none.
        Invalid: It is a folder, a device or a pipe, or too large for a key.
        Forbidden: It can't be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            regular = stat.S_ISREG(os.fstat(handle).st_mode)
            raw = os.read(handle, MAX_BYTES + 1) if regular else b""
        finally:
            os.close(handle)
    except FileNotFoundError:
        raise
    except OSError as e:
        raise Forbidden(
            f"the secret key file {str(path)!r} can't be read: {e.strerror}; let this user read it"
        ) from None
    if not regular:
        raise Invalid(f"the secret key file {str(path)!r} is no regular file; name the file of the key")
    if len(raw) > MAX_BYTES:
        raise Invalid(f"the secret key file {str(path)!r} has more than {MAX_BYTES} bytes; name the file of the key")
    return raw


def write_key(path: Path, text: str) -> None:
    """Put a key into its file, whole or not at all, on the disk when this returns.

    Raises:
        Conflict: A file is there already: a key is never overwritten.
        Forbidden: It can't be written there.
    """
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text.strip() + "\n")
            file.flush()
            os.fsync(handle)
        # A link, unlike a rename, fails where something is.
        os.link(scratch, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError:
        raise Conflict(f"{str(path)!r} is there already and is not overwritten; move it away first") from None
    except OSError as e:
        raise Forbidden(f"the secret key can't be written to {str(path)!r}: {e.strerror}; name another place") from None
    finally:
        with suppress(FileNotFoundError):
            scratch.unlink()
