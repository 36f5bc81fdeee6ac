"""OpenAI's chat completions on the wire: building a request's body, reading answers and their streams. Pure.

Source: OpenAI API reference, chat completions; OpenRouter's `usage.cost`, `cache_write_tokens` and in-body errors.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ValidationError

from aspora.models.interface import TokenUsage, ToolCall


class Malformed(ValueError):
    """Bytes that are no answer; the message says what is wrong without quoting them."""


class ErrorInBody(Exception):
    """An error sent inside a 200 answer or in mid-stream.

    Attributes:
        status: The HTTP status it stands for; 502 when it names none.
        text: The upstream's message.
        after_output: Whether some of an answer came with it or before it.
    """

    def __init__(self, status: int, text: str, *, after_output: bool) -> None:
        super().__init__(f"error {status} inside the answer")
        self.status = status
        self.text = text
        self.after_output = after_output


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer as the upstream gave it."""

    text: str
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str
    upstream_model: str
    raw_usage: Mapping[str, Any] | None


def endpoint_body(
    body: Mapping[str, Any], *, model: str, max_tokens_field: str, max_output_tokens: int, streams: bool
) -> bytes:
    """The JSON body for one endpoint; 0 output tokens stand for what has none."""
    whole: dict[str, Any] = {"model": model, **body}
    if max_output_tokens:
        whole[max_tokens_field] = max_output_tokens
    if streams:
        whole |= {"stream": True, "stream_options": {"include_usage": True}}
    try:
        return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # Half a surrogate pair has no UTF-8, but JSON can name it.
        return json.dumps(whole, separators=(",", ":")).encode()


class _Function(BaseModel):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _WireToolCall(BaseModel):
    index: int | None = None
    id: str | None = None
    function: _Function = _Function()


class _Part(BaseModel):
    type: str = ""
    text: str = ""


class _Message(BaseModel):
    content: str | list[_Part] | None = None
    tool_calls: list[_WireToolCall] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(p.text for p in self.content)
        return self.content or ""


class _Error(BaseModel):
    code: int | str | None = None
    message: str = ""


class _Choice(BaseModel):
    message: _Message | None = None
    delta: _Message | None = None
    finish_reason: str | None = None
    error: _Error | None = None


class _Completion(BaseModel):
    id: str | None = None
    choices: list[_Choice] | None = None
    model: str | None = None
    usage: dict[str, Any] | None = None
    error: _Error | None = None


def load_json(raw: bytes) -> Any:
    """Parse JSON keeping decimals exact, NaN and infinities as `Decimal` too.

    Raises:
        Malformed: It is no JSON.
    """
    try:
        return json.loads(raw, parse_float=Decimal, parse_constant=Decimal)
    except (ValueError, RecursionError):
        raise Malformed("the answer is no JSON") from None


def _parse(raw: bytes, *, after_output: bool = False) -> _Completion:
    try:
        completion = _Completion.model_validate(load_json(raw))
    except ValidationError as e:
        where = ".".join(str(p) for p in e.errors(include_url=False, include_input=False)[0]["loc"])
        raise Malformed(f"the answer has not the form of a chat completion (at {where or 'the top'})") from None
    for error in (completion.error, *(c.error for c in completion.choices or ())):
        if error is not None:
            begun = after_output or bool(completion.choices)
            raise ErrorInBody(_status_of(error.code), error.message, after_output=begun)
    return completion


def _status_of(code: int | str | None) -> int:
    try:
        status = int(code or 0)
    except ValueError:
        return 502
    return status if 400 <= status <= 599 else 502


def _arguments(function: _Function) -> str:
    """Some servers send the arguments as an object instead of its text."""
    raw = function.arguments
    return json.dumps(raw, default=str) if isinstance(raw, dict) else raw or ""


def read_completion(raw: bytes) -> Answer:
    """Read an answer that came in one piece.

    Raises:
        Malformed: It is no chat completion.
        ErrorInBody: It is an error in disguise.
    """
    completion = _parse(raw)
    if not completion.choices or completion.choices[0].message is None:
        raise Malformed("the answer has no choices")
    choice = completion.choices[0]
    message = choice.message or _Message()
    calls = tuple(
        ToolCall(id=c.id or "", name=c.function.name or "", arguments=_arguments(c.function))
        for c in message.tool_calls or ()
    )
    return Answer(
        text=message.text,
        tool_calls=calls,
        finish_reason=choice.finish_reason or "stop",
        upstream_model=completion.model or "",
        raw_usage=completion.usage,
    )


class _Embeddings(BaseModel):
    data: list[dict[str, Any]]
    model: str | None = None
    usage: dict[str, Any] | None = None


def read_embeddings(raw: bytes) -> Answer:
    """Read an answer with vectors, of which only what it cost matters here; it has no output tokens.

    Raises:
        Malformed: It is none.
        ErrorInBody: It is an error in disguise.
    """
    loaded = load_json(raw)
    if isinstance(loaded, dict) and "error" in loaded:
        _parse(raw)
    try:
        read = _Embeddings.model_validate(loaded)
    except ValidationError:
        raise Malformed("the answer has not the form of an embedding") from None
    usage = None if read.usage is None else {"completion_tokens": 0, **read.usage}
    return Answer(text="", tool_calls=(), finish_reason="stop", upstream_model=read.model or "", raw_usage=usage)


@dataclass(slots=True)
class _CallInParts:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list[str])


class StreamReader:
    """Puts an answer together from the bytes of its event stream.

    Source: HTML Living Standard, server-sent events (only `data` fields matter here).
    """

    def __init__(self) -> None:
        self._rest = b""
        self._texts: list[str] = []
        self._calls: dict[int, _CallInParts] = {}
        self._finish_reason: str | None = None
        self._model = ""
        self.generation = ""
        """The upstream's id of the answer, once it is known."""
        self._usage: dict[str, Any] | None = None
        self._done = False

    def feed(self, piece: bytes) -> Iterator[str]:
        """Take bytes as they arrive; yield the pieces of text they complete.

        Raises:
            Malformed: A line is no event, or an event is no chunk.
            ErrorInBody: The upstream reports an error in mid-stream.
        """
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            yield from self.take(line)

    def finish(self) -> Answer:
        """The whole answer, after the last byte.

        Raises:
            Malformed: The stream ended before the answer did.
        """
        for _ in self.take(self._rest):
            raise Malformed("the stream ended inside an event")
        if self._finish_reason is None and not self._done:
            raise Malformed("the stream ended before the answer did")
        calls = (self._calls[i] for i in sorted(self._calls))
        return Answer(
            text="".join(self._texts),
            tool_calls=tuple(ToolCall(id=c.id, name=c.name, arguments="".join(c.arguments)) for c in calls),
            finish_reason=self._finish_reason or "stop",
            upstream_model=self._model,
            raw_usage=self._usage,
        )

    @property
    def has_output(self) -> bool:
        """Whether some of the answer has come: text, a tool call, or its end."""
        return bool(self._texts or self._calls or self._finish_reason is not None or self._done)

    def take(self, line: bytes) -> Iterator[str]:
        """Take one line without its end; yield the pieces of text in it. Errors as for `feed`."""
        line = line.rstrip(b"\r")
        if not line or line.startswith((b":", b"event:", b"id:", b"retry:")):
            return
        if not line.startswith(b"data:"):
            raise Malformed("the stream has a line that is no server-sent event")
        data = line[5:].strip()
        if data == b"[DONE]":
            self._done = True
        elif data:
            yield from self._chunk(_parse(data, after_output=bool(self._texts or self._calls)))

    def _chunk(self, chunk: _Completion) -> Iterator[str]:
        self._model = chunk.model or self._model
        self.generation = self.generation or chunk.id or ""
        self._usage = chunk.usage or self._usage
        if not chunk.choices:
            return
        choice = chunk.choices[0]
        self._finish_reason = choice.finish_reason or self._finish_reason
        delta = choice.delta or choice.message
        if delta is None:
            return
        for call in delta.tool_calls or ():
            self._add_call(call)
        if delta.text:
            self._texts.append(delta.text)
            yield delta.text

    def _add_call(self, call: _WireToolCall) -> None:
        """Servers that send no index send whole calls: each takes the next place."""
        place = len(self._calls) if call.index is None else call.index
        parts = self._calls.setdefault(place, _CallInParts())
        parts.id = call.id or parts.id
        parts.name = call.function.name or parts.name
        parts.arguments.append(_arguments(call.function))


def _count(usage: Mapping[str, Any], *path: str) -> int | None:
    """The token count at a path; None when it is absent or no count."""
    value: Any = usage
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def read_usage(usage: Mapping[str, Any] | None) -> TokenUsage | None:
    """Token counts; None when the two main ones are missing or no counts. Parts never exceed their whole."""
    if usage is None:
        return None
    input_tokens, output_tokens = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    if input_tokens is None or output_tokens is None:
        return None
    cached = min(input_tokens, _count(usage, "prompt_tokens_details", "cached_tokens") or 0)
    written = min(input_tokens - cached, _count(usage, "prompt_tokens_details", "cache_write_tokens") or 0)
    reasoning = min(output_tokens, _count(usage, "completion_tokens_details", "reasoning_tokens") or 0)
    return TokenUsage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=reasoning,
    )
