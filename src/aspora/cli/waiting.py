"""Waiting until an object is as somebody wants it: what may be wished for, and looking until it is so."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aspora.cli.rest import Rest
from aspora.cli.targets import Target
from aspora.cli.watching import changes
from aspora.client.paths import object_path
from aspora.meta.errors import Expired, NotFound, Timeout
from aspora.meta.names import quoted

Wire = Mapping[str, Any]
POLL_SECONDS = 0.5
_DURATION = re.compile(r"(\d{1,9})(ms|s|m|h|)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}
_FORMS = "write delete, create, condition=Ready, condition=Ready=False or .status.state=Succeeded"


@dataclass(frozen=True, slots=True)
class Wish:
    """What an object should come to.

    Attributes:
        text: As it was said.
        holds: Whether an object fulfils it; asked with None when there is none.
        shows: What the object says in its place, for the message when time is up.
    """

    text: str
    holds: Callable[[Wire | None], bool] = field(repr=False)
    shows: Callable[[Wire], str] = field(repr=False)


def parse_wish(text: str) -> Wish:
    """`delete`, `create`, `condition=TYPE[=STATUS]`, `.path.to.field=VALUE` or `jsonpath={.path}=VALUE`.

    Raises:
        ValueError: It is none of them; says what would do.
    """
    if text == "delete":
        return Wish(text, lambda obj: obj is None, _held_by)
    if text == "create":
        return Wish(text, lambda obj: obj is not None, lambda _: "it is there")
    head, equals, rest = text.partition("=")
    if head == "condition" and rest:
        return _condition(text, *_split_status(rest))
    path, equals, value = _field_of(text)
    if not path or not equals:
        raise ValueError(f"--for {quoted(text)} is not understood; {_FORMS}")
    return Wish(
        text,
        lambda obj: obj is not None and _text_at(obj, path) == value,
        lambda obj: f"{'.'.join(path)} is {_text_at(obj, path)!r}",
    )


def _split_status(rest: str) -> tuple[str, str]:
    type_, equals, status = rest.partition("=")
    status = status.capitalize() if equals else "True"
    if status not in {"True", "False", "Unknown"}:
        raise ValueError(f"a condition is never {quoted(status)}; write True, False or Unknown")
    return type_, status


def _condition(text: str, type_: str, status: str) -> Wish:
    """A condition counts when it speaks of the object's present generation."""

    def find(obj: Wire) -> Wire | None:
        conditions = (obj.get("status") or {}).get("conditions", [])
        return next((c for c in conditions if str(c["type"]).lower() == type_.lower()), None)

    def holds(obj: Wire | None) -> bool:
        found = find(obj) if obj is not None else None
        return found is not None and found["status"] == status and obj is not None and _is_current(obj, found)

    def shows(obj: Wire) -> str:
        found = find(obj)
        if found is None:
            return f"it has no condition {type_!r} yet"
        if not _is_current(obj, found):
            return "its controller has not looked at its latest change yet"
        told = f": {found['message']}" if found.get("message") else ""
        return f"{found['type']} is {found['status']}, {found['reason']}{told}"

    return Wish(text, holds, shows)


def _is_current(obj: Wire, condition: Wire) -> bool:
    seen = condition.get("observedGeneration") or (obj.get("status") or {}).get("observedGeneration")
    return seen is None or seen >= obj["metadata"].get("generation", 0)


def _held_by(obj: Wire) -> str:
    metadata = obj["metadata"]
    if "deletionTimestamp" not in metadata:
        return "nobody has deleted it"
    return f"it is held by {', '.join(metadata.get('finalizers', []))}"


def _field_of(text: str) -> tuple[list[str], str, str]:
    """Path, `=`, value; the braces and the dollar of a JSON path may be there or not."""
    path, equals, value = text.removeprefix("jsonpath=").partition("=")
    plain = path.strip("{}").removeprefix("$").removeprefix(".")
    parts = plain.split(".") if plain else []
    if not all(parts) or (not text.startswith("jsonpath=") and not path.startswith((".", "{"))):
        return [], "", ""
    return parts, equals, value


def _text_at(obj: Wire, path: list[str]) -> str | None:
    value: Any = obj
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    if value is None or isinstance(value, (Mapping, list)):
        return None
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def seconds_of(text: str) -> float:
    """`30s`, `2m`, `500ms` or plain seconds.

    Raises:
        ValueError: It is none.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{quoted(text)} is not a duration; write 30s, 2m or 1h")
    return int(match[1]) * _SECONDS[match[2]]


def wait_until(rest: Rest, target: Target, wish: Wish, *, deadline: float, tell: Callable[[str], None]) -> None:
    """Return when the object is as wished.

    Args:
        deadline: By the monotonic clock.
        tell: Hears of connections that are tried again.

    Raises:
        Timeout: It was not so in time; says how it is.
        NotFound: There is no such object, and its coming was not what is waited for.
    """
    look = _watched if "watch" in target.resource["verbs"] else _polled
    while True:
        obj = look(rest, target, wish, deadline=deadline, tell=tell)
        if wish.holds(obj):
            return
        if time.monotonic() >= deadline:
            how = wish.shows(obj) if obj is not None else "nothing has that name"
            raise Timeout(
                f"{wish.text} did not come in time for {target.resource['singularName']} {target.name!r}: {how};"
                f" see: aspora get {target.resource['singularName']}{rest.place}"
            )


def _present(obj: Wire | None, target: Target, wish: Wish) -> None:
    if obj is None and wish.text not in {"delete", "create"}:
        where = f" in domain {target.domain!r}" if target.domain else ""
        raise NotFound(
            f"{target.resource['singularName']} {target.name!r} not found{where};"
            f" see: aspora get {target.resource['name']}"
        )


def _polled(rest: Rest, target: Target, wish: Wish, *, deadline: float, tell: Callable[[str], None]) -> Wire | None:
    """The record as it is now, after a pause when it is not as wished."""
    del tell
    try:
        obj: Wire | None = rest.call("GET", object_path(target.resource["name"], target.name, domain=target.domain))
    except NotFound:
        obj = None
    _present(obj, target, wish)
    if not wish.holds(obj):
        time.sleep(max(0.0, min(POLL_SECONDS, deadline - time.monotonic())))
    return obj


def _watched(rest: Rest, target: Target, wish: Wish, *, deadline: float, tell: Callable[[str], None]) -> Wire | None:
    """The object when it is as wished, or as it last was when the time is up or its history is lost."""
    path = object_path(target.resource["name"], domain=target.domain)
    query = {"fieldSelector": f"metadata.name={target.name}"}
    page = rest.call("GET", path, query=query)
    obj: Wire | None = page["items"][0] if page["items"] else None
    _present(obj, target, wish)
    if wish.holds(obj):
        return obj
    stream = changes(
        rest,
        path,
        query=query,
        since=page["metadata"]["resourceVersion"],
        tell=tell,
        sleep=lambda seconds: _sleep_before(deadline, seconds),
        left_seconds=lambda: deadline - time.monotonic(),
    )
    try:
        for event in stream:
            obj = None if event["type"] == "DELETED" else event["object"]
            _present(obj, target, wish)
            if wish.holds(obj):
                return obj
    except (Expired, TimeoutError):
        pass
    return obj


def _sleep_before(deadline: float, seconds: float) -> None:
    """Pause before the next try; raises `TimeoutError` when there is no time for one."""
    if time.monotonic() + seconds >= deadline:
        time.sleep(max(0.0, deadline - time.monotonic()))
        raise TimeoutError
    time.sleep(seconds)
