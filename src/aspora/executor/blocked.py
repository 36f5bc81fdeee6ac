"""Which files of a skill `permissions.blocked_resources` closes, to handlers and agents alike."""

import fnmatch
from collections.abc import Sequence
from pathlib import PurePosixPath


def is_blocked(path: str, blocked: Sequence[str]) -> bool:
    """Whether a pattern of `blocked_resources` names the path or a folder it lies in.

    A pattern with a `/` is matched from the artifact's root, one without against each part of the path; `*` and `?`
    are wild.
    """
    parts = PurePosixPath(path).parts
    prefixes = ["/".join(parts[: i + 1]) for i in range(len(parts))]
    return any(
        fnmatch.fnmatchcase(candidate, pattern.strip("/"))
        for pattern in blocked
        for candidate in (prefixes if "/" in pattern.strip("/") else (*parts, path))
    )
