"""The body of a request to run a skill, checked by hand: it is on the hottest path there is."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aspora.meta.errors import BadRequest, FieldError, Invalid, TooLarge
from aspora.meta.names import did_you_mean

MAX_INPUT_BYTES: Final = 1024 * 1024
MAX_TEXT_CHARACTERS: Final = 255
ENVIRONMENTS: Final = ("production", "staging")
DEFAULT_TRIGGER: Final[Mapping[str, Any]] = {"type": "api"}

_FIELDS: Final = ("input", "environment", "revision", "durable", "trigger")
_INPUT_FIELDS: Final = ("userMessage", "userId", "metadata")
_TRIGGER_TYPE = re.compile(r"[a-z][a-z-]{0,30}")
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What is to be run, with defaults filled in.

    Attributes:
        input: The wire input: `userMessage`, `userId`, `metadata`.
        input_text: The same as compact JSON.
        revision: A revision asked for by name; None for the Route's choice.
        durable: The caller raises the class.
    """

    input: Mapping[str, Any]
    input_text: str
    environment: str
    revision: str | None
    durable: bool
    trigger: Mapping[str, Any]

    def digest(self) -> str:
        """SHA-256 over the request's meaning: the same request spelled otherwise has the same digest."""
        parts = [self.input, self.environment, self.revision, self.durable, self.trigger]
        text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


def parse_run_request(body: Mapping[str, Any]) -> RunRequest:
    """Check a body and fill in the defaults.

    Raises:
        Invalid: With every problem, each with its path.
        TooLarge: The input is over its cap.
    """
    problems = _unknown(body, _FIELDS, "")
    wire_input = body.get("input", {})
    problems += _check_input(wire_input) + _check_rest(body)
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise Invalid(f"the request has {count}: " + "; ".join(str(p) for p in problems[:3]), details=problems)
    text = json.dumps(wire_input, ensure_ascii=False, separators=(",", ":"))
    if len(text.encode()) > MAX_INPUT_BYTES:
        raise TooLarge(
            f"the input is over the cap of {MAX_INPUT_BYTES} bytes; put large data where the skill can read it"
        )
    return RunRequest(
        input=wire_input,
        input_text=text,
        environment=body.get("environment", ENVIRONMENTS[0]),
        revision=body.get("revision"),
        durable=bool(body.get("durable")),
        trigger=body.get("trigger", DEFAULT_TRIGGER),
    )


def _unknown(given: Mapping[str, Any], known: tuple[str, ...], path: str) -> list[FieldError]:
    return [
        FieldError(f"{path}{name[:80]}", f"unknown field {name[:80]!r}{did_you_mean(name[:80], known)}", "UnknownField")
        for name in given
        if name not in known
    ]


def _check_input(given: Any) -> list[FieldError]:
    if not isinstance(given, Mapping):
        return [FieldError("input", "must be an object with userMessage, userId, metadata")]
    problems = _unknown(given, _INPUT_FIELDS, "input.")
    if not isinstance(given.get("userMessage", ""), str):
        problems.append(FieldError("input.userMessage", "must be a text"))
    user = given.get("userId", "")
    if not isinstance(user, str) or len(user) > MAX_TEXT_CHARACTERS:
        problems.append(FieldError("input.userId", f"must be a text of at most {MAX_TEXT_CHARACTERS} characters"))
    if not isinstance(given.get("metadata", {}), Mapping):
        problems.append(FieldError("input.metadata", "must be an object"))
    return problems


def _check_rest(body: Mapping[str, Any]) -> list[FieldError]:
    problems: list[FieldError] = []
    if body.get("environment", ENVIRONMENTS[0]) not in ENVIRONMENTS:
        problems.append(FieldError("environment", f"must be one of {', '.join(ENVIRONMENTS)}"))
    revision = body.get("revision")
    if revision is not None and (not isinstance(revision, str) or not 0 < len(revision) <= MAX_TEXT_CHARACTERS):
        problems.append(FieldError("revision", "must be the name of a revision, or null"))
    durable = body.get("durable")
    if durable is not None and durable is not True:
        problems.append(FieldError("durable", "must be true or null: a caller can raise the class, never lower it"))
    trigger = body.get("trigger", DEFAULT_TRIGGER)
    kind = trigger.get("type") if isinstance(trigger, Mapping) and set(trigger) == {"type"} else None
    if not isinstance(kind, str) or not _TRIGGER_TYPE.fullmatch(kind):
        problems.append(FieldError("trigger", "must be an object with type, a short word like 'api' or 'cli'"))
    return problems


def idempotency_key(given: Sequence[str]) -> str | None:
    """The one value of the request's Idempotency-Key headers, or None when there is no such header.

    Raises:
        BadRequest: It can't be a key, or there are several.
    """
    if len(given) > 1:
        raise BadRequest(f"{len(given)} Idempotency-Key headers; send one")
    if given and not _KEY.fullmatch(given[0]):
        raise BadRequest("the Idempotency-Key must be 1 to 255 printable ASCII characters without spaces")
    return given[0] if given else None
