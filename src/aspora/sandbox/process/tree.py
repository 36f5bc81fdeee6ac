"""Copy an artifact for one job, and remove whatever the job made of it. Safe against what a handler leaves behind."""

import contextlib
import errno
import os
import shutil
import stat


class UnfitArtifact(Exception):
    """The artifact holds something other than folders and plain files, or can't be read."""


def copy_tree(source: str, target: str, *, uid: int | None) -> None:
    """Copy the files of `source` into the existing, empty folder `target`, writable for `uid` (None: the caller).

    Raises:
        UnfitArtifact: A link or special file, or a file that can't be read.
        OSError: The copy can't be written (disk full).
    """
    try:
        entries = sorted(os.scandir(source), key=lambda entry: entry.name)
    except OSError as problem:
        raise UnfitArtifact(f"the artifact folder {source!r} can't be read: {problem.strerror}") from None
    for entry in entries:
        place = os.path.join(target, entry.name)
        if entry.is_dir(follow_symlinks=False):
            os.mkdir(place, 0o700)
            copy_tree(entry.path, place, uid=uid)
            _own(place, uid)
        elif entry.is_file(follow_symlinks=False):
            _copy_file(entry.path, place, uid=uid)
        else:
            raise UnfitArtifact(f"{entry.path!r} is neither a plain file nor a folder; an artifact holds no other")


def check_tree(source: str) -> None:
    """Walk an artifact without copying it.

    Raises:
        UnfitArtifact: A link or special file, or a folder that can't be read.
    """
    try:
        entries = list(os.scandir(source))
    except OSError as problem:
        raise UnfitArtifact(f"the artifact folder {source!r} can't be read: {problem.strerror}") from None
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            check_tree(entry.path)
        elif not entry.is_file(follow_symlinks=False):
            raise UnfitArtifact(f"{entry.path!r} is neither a plain file nor a folder; an artifact holds no other")


def remove_tree(path: str) -> None:
    """Remove a folder and all in it, however deep and whatever its modes; nothing there is fine.

    Sub-folders of sub-folders are first moved up beside their parent, so that no depth needs recursion or a long path.

    Raises:
        OSError: Something could not be removed.
    """
    try:
        names = _open_up(path)
    except FileNotFoundError:
        return
    while names:
        place = os.path.join(path, names.pop())
        if not _is_folder(place):
            os.unlink(place)
            continue
        for child in _open_up(place):
            inner = os.path.join(place, child)
            if _is_folder(inner):
                names.append(_move_up(inner, path))
            else:
                os.unlink(inner)
        os.rmdir(place)
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(path)


def _open_up(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except PermissionError:
        os.chmod(path, 0o700)
        return os.listdir(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.chmod(path, 0o700)


def _move_up(folder: str, top: str) -> str:
    with contextlib.suppress(PermissionError):
        os.chmod(folder, 0o700)  # moving a folder needs to write to it
    number = 0
    while os.path.lexists(os.path.join(top, name := f".removing-{number}")):
        number += 1
    os.rename(folder, os.path.join(top, name))
    return name


def _is_folder(path: str) -> bool:
    return stat.S_ISDIR(os.lstat(path).st_mode)


def _copy_file(source: str, target: str, *, uid: int | None) -> None:
    try:
        reader = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as problem:
        raise UnfitArtifact(f"{source!r} can't be read: {problem.strerror}") from None
    try:
        mode = 0o700 if os.fstat(reader).st_mode & 0o100 else 0o600
        writer = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            _copy_bytes(reader, writer)
            if uid is not None:
                os.fchown(writer, uid, uid)
        finally:
            os.close(writer)
    finally:
        os.close(reader)


def _copy_bytes(reader: int, writer: int) -> None:
    try:
        while os.copy_file_range(reader, writer, 1 << 30):
            pass
    except OSError as problem:
        if problem.errno not in {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}:
            raise
        with open(reader, "rb", closefd=False) as source, open(writer, "wb", closefd=False) as target:
            source.seek(0)
            target.seek(0)
            shutil.copyfileobj(source, target)


def _own(path: str, uid: int | None) -> None:
    if uid is not None:
        os.chown(path, uid, uid)
