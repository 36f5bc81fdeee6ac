"""From the body of a POST to an event: checked whole, every problem at once."""

import re
from collections.abc import Mapping
from typing import Any, cast

from aspora.meta.errors import FieldError, Invalid
from aspora.meta.names import check_name, did_you_mean
from aspora.records.happenings import EventType, Happening

MAX_MESSAGE_CHARACTERS = 1024
MAX_WORD_CHARACTERS = 128

_FIELDS = ("regarding", "reason", "message", "type", "reportingController")
_SERVER_OWNED = ("apiVersion", "kind", "metadata", "count", "firstTimestamp", "lastTimestamp")
_REGARDING = ("kind", "name", "domain", "uid")
_CAMEL_CASE = re.compile(r"[A-Z][A-Za-z0-9]*", re.ASCII)
_TYPES = ("Normal", "Warning")


def parse_event(body: Mapping[str, Any], *, domain: str) -> Happening:
    """The event that a body tells; what only the server says (count, timestamps, name) is passed over.

    Args:
        body: As sent.
        domain: The path's; "" for the cluster.

    Raises:
        Invalid: With every problem, each with its path.
    """
    problems = _unknown(body, (*_FIELDS, *_SERVER_OWNED), "")
    if body.get("kind", "Event") != "Event":
        problems.append(FieldError("kind", "must be 'Event'"))
    problems += _check_regarding(body.get("regarding"), domain=domain)
    problems += _check_word(body, "reason", "must be CamelCase, like 'RevisionFailed'", _CAMEL_CASE)
    problems += _check_word(body, "reportingController", "must be printable", None)
    message = body.get("message", "")
    if not isinstance(message, str) or len(message) > MAX_MESSAGE_CHARACTERS:
        problems.append(FieldError("message", f"must be a text of at most {MAX_MESSAGE_CHARACTERS} characters"))
    if body.get("type", "Normal") not in _TYPES:
        problems.append(FieldError("type", f"must be one of {', '.join(_TYPES)}"))
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise Invalid(f"the event has {count}: " + "; ".join(str(p) for p in problems[:3]), details=problems)
    regarding = body["regarding"]
    return Happening(
        domain=domain,
        kind=regarding["kind"],
        name=regarding["name"],
        uid=regarding.get("uid", ""),
        type=cast("EventType", body.get("type", "Normal")),
        reason=body["reason"],
        message=message,
        controller=body["reportingController"],
    )


def _unknown(given: Mapping[str, Any], known: tuple[str, ...], path: str) -> list[FieldError]:
    return [
        FieldError(f"{path}{name[:80]}", f"unknown field {name[:80]!r}{did_you_mean(name[:80], known)}", "UnknownField")
        for name in given
        if name not in known
    ]


def _check_regarding(given: Any, *, domain: str) -> list[FieldError]:
    if not isinstance(given, Mapping):
        return [FieldError("regarding", "is required: an object with kind, name and uid", "Required")]
    regarding = cast("Mapping[str, Any]", given)
    problems = _unknown(regarding, _REGARDING, "regarding.")
    problems += _check_word(regarding, "kind", "must be a kind, like 'Skill'", _CAMEL_CASE, path="regarding.")
    name = regarding.get("name")
    problems += (
        check_name(name, field="regarding.name", dots=True)
        if isinstance(name, str)
        else [FieldError("regarding.name", "is required", "Required")]
    )
    if regarding.get("domain", domain) != domain:
        where = f"{domain!r}, as in the path" if domain else "absent: this path takes events of cluster-wide objects"
        problems.append(FieldError("regarding.domain", f"must be {where}"))
    uid = regarding.get("uid", "")
    if not isinstance(uid, str) or len(uid) > MAX_WORD_CHARACTERS:
        problems.append(FieldError("regarding.uid", "must be the object's uid, or absent"))
    return problems


def _check_word(
    given: Mapping[str, Any], field: str, wanted: str, pattern: re.Pattern[str] | None, *, path: str = ""
) -> list[FieldError]:
    text = given.get(field)
    if text is None or text == "":
        return [FieldError(f"{path}{field}", "is required", "Required")]
    good = isinstance(text, str) and len(text) <= MAX_WORD_CHARACTERS and text.isprintable()
    if not good or (pattern is not None and not pattern.fullmatch(text)):
        return [FieldError(f"{path}{field}", f"{wanted}, at most {MAX_WORD_CHARACTERS} characters")]
    return []
