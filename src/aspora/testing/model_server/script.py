"""The script: which request gets which answer.

A script is YAML or JSON:

```yaml
models: [claude-sonnet-4-5]          # what GET /v1/models lists; default: one entry `scripted`
sequence:                            # served once each, in order, to the first requests; a `when` that fails is a 400
  - {fault: {kind: rate_limited, retry_after_seconds: 1}}
  - {answer: "Hello"}
rules:                               # then the first rule that matches, top to bottom
  - when:                            # all conditions must hold; no `when` matches everything
      user: "weather in (?P<city>[A-Z][a-z]+)"   # regex searched in the last user message
      system: "weather skill"                    # regex searched in the system messages, joined by blank lines
      tool: "(?P<degrees>[0-9]+) C"              # regex searched in the tool results after the last user message
      model: "sonnet"                            # regex searched in the request's model
      tool_results: 1                            # how many tool results follow the last user message
      call: 3                                    # only the n-th completion request to this server, from 1
    times: 1                         # how often the rule may be used; default: without end
    answer: "It is ${degrees} C in ${city}."     # ${name} = a named group of any regex above, ${user}, ${tool}
  - answer_json: {city: "${city}"}   # the same with JSON as the answer's text; groups are quoted rightly
  - tool_calls: [{name: read, arguments: {path: "references/${city}.md"}}]   # `arguments` may be a raw string
  - answer: "cut"
    finish_reason: length            # default: stop, or tool_calls
    usage: {prompt_tokens: 10, completion_tokens: 5, cached_tokens: 0, reasoning_tokens: 0, cost: "0.000123"}
    model_echo: other-model          # what the response's `model` says; default: the request's
    fault: {kind: missing_usage}
```

Without `usage`, tokens are counted as one for each four bytes, rounded up, and no cost is sent. Faults are listed in
`FaultKind`; those of `AFTER_ANSWER` change how an answer is sent and need one.
"""

import json
import re
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

FaultKind = Literal[
    "rate_limited",  # 429; with Retry-After when `retry_after_seconds` is set
    "server_error",  # 500, JSON
    "bad_gateway_html",  # 502, an HTML page
    "rejected",  # 400, JSON
    "unauthorized",  # 401, JSON
    "hang_before_headers",  # accepts the request and never answers
    "hang_after_headers",  # sends the headers, then nothing
    "reset",  # cuts the connection before any byte
    "reset_mid_stream",  # cuts the connection in the middle of the answer
    "broken_json",  # 200 with half a JSON document; in a stream: a data line that is no JSON
    "malformed_sse",  # 200 with lines that are no server-sent events; plain: a JSON document of the wrong shape
    "missing_usage",  # an answer without `usage`
    "not_streamed",  # an answer in one piece, whatever was asked for
    "slow",  # an answer, `delay_seconds` before each piece
    "huge",  # 200 with an answer padded by `huge_bytes`
]
AFTER_ANSWER: frozenset[FaultKind] = frozenset({"reset_mid_stream", "missing_usage", "not_streamed", "slow", "huge"})


class ScriptInvalid(ValueError):
    """A script that can't be used; the message says where and why."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class When(_Strict):
    """Conditions on a request; all must hold."""

    user: str | None = None
    system: str | None = None
    tool: str | None = None
    model: str | None = None
    tool_results: int | None = Field(default=None, ge=0)
    call: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _compiles(self) -> Self:
        for pattern in (self.user, self.system, self.tool, self.model):
            try:
                re.compile(pattern or "")
            except re.error as e:
                raise ValueError(f"{pattern!r} is not a regular expression: {e}") from None
        return self


class ScriptedToolCall(_Strict):
    """A call the answer asks for."""

    name: str
    arguments: dict[str, Any] | str = Field(default_factory=dict[str, Any])


class ScriptedUsage(_Strict):
    """The usage to report; `cost` goes out as it is written, NaN and negative numbers too."""

    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)
    cached_tokens: int = Field(default=0, ge=0)
    cache_write_tokens: int = Field(default=0, ge=0)
    reasoning_tokens: int = Field(default=0, ge=0)
    cost: float | str | None = None


class Fault(_Strict):
    """What goes wrong."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    kind: FaultKind
    retry_after_seconds: str | None = None
    delay_seconds: float = Field(default=0.05, ge=0)
    huge_bytes: int = Field(default=10_000_000, ge=1)


class Rule(_Strict):
    """One rule: conditions and what to send."""

    when: When = When()
    times: int | None = Field(default=None, ge=1)
    answer: str | None = None
    answer_json: Any = None
    tool_calls: tuple[ScriptedToolCall, ...] = ()
    finish_reason: str | None = None
    usage: ScriptedUsage | None = None
    model_echo: str | None = None
    fault: Fault | None = None

    @model_validator(mode="after")
    def _sends_something(self) -> Self:
        answers = self.answer is not None or self.answer_json is not None or bool(self.tool_calls)
        if self.answer is not None and self.answer_json is not None:
            raise ValueError("answer and answer_json exclude each other")
        if not answers and (self.fault is None or self.fault.kind in AFTER_ANSWER):
            raise ValueError("a rule needs one of answer, answer_json, tool_calls or a fault that replaces them")
        return self


class Script(_Strict):
    """A whole script."""

    models: tuple[str, ...] = ("scripted",)
    sequence: tuple[Rule, ...] = ()
    rules: tuple[Rule, ...] = ()


class Question(_Strict):
    """What of a request the conditions look at."""

    model: str
    user: str
    system: str
    tools: tuple[str, ...]
    call: int

    @classmethod
    def of(cls, body: Mapping[str, Any], *, call: int) -> "Question":
        """Read it from a chat completion request's body."""
        messages = cast("list[dict[str, Any]]", body.get("messages", []))
        system = [_text_of(m) for m in messages if m.get("role") in {"system", "developer"}]
        last_user = max((i for i, m in enumerate(messages) if m.get("role") == "user"), default=-1)
        return cls(
            model=str(body.get("model", "")),
            user=_text_of(messages[last_user]) if last_user >= 0 else "",
            system="\n\n".join(system),
            tools=tuple(_text_of(m) for m in messages[last_user + 1 :] if m.get("role") == "tool"),
            call=call,
        )


def _text_of(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        parts = cast("list[dict[str, Any]]", content)
        return "".join(str(p.get("text", "")) for p in parts if p.get("type") == "text")
    return "" if content is None else str(content)


def match(when: When, question: Question) -> dict[str, str] | None:
    """The named groups of a match, with `user` and `tool` added, or None when a condition fails."""
    if when.call not in {None, question.call} or when.tool_results not in {None, len(question.tools)}:
        return None
    tools = "\n".join(question.tools)
    groups = {"user": question.user, "tool": tools}
    searches = (
        (when.user, question.user),
        (when.system, question.system),
        (when.tool, tools),
        (when.model, question.model),
    )
    for pattern, text in searches:
        if pattern is None:
            continue
        found = re.search(pattern, text)
        if found is None:
            return None
        groups |= {k: v or "" for k, v in found.groupdict().items()}
    return groups


def fill(value: Any, groups: Mapping[str, str]) -> Any:
    """Replace `${name}` in every string of a JSON value; an unknown name stays as it is written."""
    match value:
        case str():
            return string.Template(value).safe_substitute(groups)
        case list() | tuple():
            return [fill(v, groups) for v in cast("Sequence[Any]", value)]
        case dict():
            return {k: fill(v, groups) for k, v in cast("dict[str, Any]", value).items()}
        case _:
            return value


class Chosen(_Strict):
    """A rule picked for a request, its templates filled."""

    rule: Rule
    text: str
    tool_calls: tuple[tuple[str, str], ...]
    """(name, arguments as they go over the wire)."""


def choose(rule: Rule, groups: Mapping[str, str]) -> Chosen:
    """Fill a rule's templates."""
    text = fill(rule.answer or "", groups)
    if rule.answer_json is not None:
        text = json.dumps(fill(rule.answer_json, groups), ensure_ascii=False)
    calls = [(c.name, fill(c.arguments, groups)) for c in rule.tool_calls]
    wire = tuple((name, a if isinstance(a, str) else json.dumps(a, ensure_ascii=False)) for name, a in calls)
    return Chosen(rule=rule, text=text, tool_calls=wire)


class Player:
    """Plays a script: counts requests and how often each rule was used."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self._calls = 0
        self._used = [0] * len(script.rules)

    def next(self, body: Mapping[str, Any]) -> Chosen | str:
        """What to send for a request, or the reason why nothing fits."""
        self._calls += 1
        question = Question.of(body, call=self._calls)
        if self._calls <= len(self.script.sequence):
            rule = self.script.sequence[self._calls - 1]
            groups = match(rule.when, question)
            if groups is None:
                return f"request {self._calls} does not meet the conditions of sequence[{self._calls - 1}]"
            return choose(rule, groups)
        for i, rule in enumerate(self.script.rules):
            if rule.times is not None and self._used[i] >= rule.times:
                continue
            groups = match(rule.when, question)
            if groups is not None:
                self._used[i] += 1
                return choose(rule, groups)
        return (
            f"no rule of the script matches request {self._calls} (model {question.model!r}, "
            f"{len(question.tools)} tool results, {len(question.user)} characters of user text); "
            f"the script has {len(self.script.sequence)} steps and {len(self.script.rules)} rules"
        )


def parse_script(data: Any, *, source: str = "script") -> Script:
    """Check a script given as plain data.

    Raises:
        ScriptInvalid: With every problem and its path.
    """
    try:
        return Script.model_validate(data if data is not None else {})
    except ValidationError as e:
        problems = "; ".join(f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in e.errors(include_url=False))
        raise ScriptInvalid(f"{source}: {problems}") from None


def load_script(path: Path) -> Script:
    """Read a script from a YAML or JSON file.

    Raises:
        ScriptInvalid: It can't be parsed or has a wrong field.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as e:
        raise ScriptInvalid(f"{path}: not YAML: {e}") from None
    return parse_script(data, source=str(path))
