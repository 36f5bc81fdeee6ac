"""Names, ids and "did you mean": pure functions, standard library only."""

import difflib
import re
from collections.abc import Iterable
from typing import NewType

from aspora.meta.errors import FieldError

DomainName = NewType("DomainName", str)
SkillName = NewType("SkillName", str)
RevisionName = NewType("RevisionName", str)
ExecutionId = NewType("ExecutionId", str)
NodeId = NewType("NodeId", str)

MAX_NAME_LENGTH = 63
MAX_LABELS = 64
MAX_SHOWN_LENGTH = 80
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_LABEL_KEY = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?)?")


def check_name(name: str, *, field: str = "metadata.name", dots: bool = False) -> list[FieldError]:
    """Check an object's name: lower-case letters, digits and `-` (and `.` when `dots`), 1 to 63 characters.

    Source: RFC 1123 labels, as Kubernetes names.
    """
    pattern = _SUBDOMAIN if dots else _LABEL
    if not name:
        return [FieldError(field, "is required", "Required")]
    if len(name) > MAX_NAME_LENGTH:
        return [FieldError(field, f"{name[:20]!r}… has {len(name)} characters; at most {MAX_NAME_LENGTH}")]
    if not pattern.fullmatch(name):
        allowed = "lower-case letters, digits, '-'" + (" and '.'" if dots else "")
        return [FieldError(field, f"{name!r} is not a name: use {allowed}, starting and ending with a letter or digit")]
    return []


def check_labels(labels: Iterable[tuple[str, str]], *, field: str) -> list[FieldError]:
    """Check at most 64 labels: keys (`[prefix/]name`) and values (≤ 63 characters of letters, digits, `-_.`)."""
    errors: list[FieldError] = []
    pairs = list(labels)
    if len(pairs) > MAX_LABELS:
        errors.append(FieldError(field, f"{len(pairs)} labels; at most {MAX_LABELS}"))
    for key, value in pairs[:MAX_LABELS]:
        if len(key) > 128 or not _LABEL_KEY.fullmatch(key):
            errors.append(
                FieldError(
                    f"{field}.{key[:40]}", "is not a label key: use [prefix/]name, e.g. 'team' or 'aspora.dev/tier'"
                )
            )
        if len(value) > MAX_NAME_LENGTH or not _LABEL_VALUE.fullmatch(value):
            errors.append(
                FieldError(
                    f"{field}.{key[:40]}",
                    f"{value[:40]!r} is not a label value: letters, digits, '-', '_', '.', at most 63",
                )
            )
    return errors


def quoted(value: object) -> str:
    """A value as messages show it: in quotes, cut where it is long, so that no input can flood a terminal or a log."""
    text = repr(value)
    return text if len(text) <= MAX_SHOWN_LENGTH else f"{text[:MAX_SHOWN_LENGTH]}… ({len(text)} characters)"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name a person most likely meant, or None when nothing is close."""
    by_fold = {k.lower().replace("_", "").replace("-", ""): k for k in known}
    folded = name.lower().replace("_", "").replace("-", "")
    if folded in by_fold:
        return by_fold[folded]
    close = difflib.get_close_matches(folded, by_fold, n=1, cutoff=0.6)
    return by_fold[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` or `; known: a, b` for the end of an error message."""
    names = sorted(known)
    close = nearest(name, names)
    if close is not None:
        return f"; did you mean {close!r}?"
    return f"; known: {', '.join(names)}" if names else ""
