"""Requests in OpenAI's form passed on to upstreams and their answers passed back, as they are; money as in any call."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from aspora.models.attempts import Attempts, Call, Opened
from aspora.models.interface import Charge, ModelAttempt, ModelCost
from aspora.models.question import Operation, Question
from aspora.models.tee import StreamTee, as_events, error_event
from aspora.models.upstream import UpstreamFault, faults_told
from aspora.models.wire import read_completion, read_embeddings


@dataclass(frozen=True, slots=True)
class Passed:
    """A whole answer as the upstream gave it.

    Attributes:
        alias: Who answered: the first or a fallback.
        cost: What it cost.
    """

    body: bytes
    alias: str
    provider: str
    cost: ModelCost


class LiveStream:
    """An answer that has begun: an async iterator of events as they come. Whoever has it closes it.

    What goes wrong from here on is told as its last event. Left before its end, it costs what came of it and what may
    have been under way.
    """

    def __init__(self, opened: Opened, tee: StreamTee) -> None:
        self._opened = opened
        self._tee = tee
        self._pieces = opened.exchange.pieces()
        self._events: list[bytes] = []
        self._is_over = False

    @property
    def alias(self) -> str:
        """Who answers."""
        return self._opened.endpoint.alias

    @property
    def provider(self) -> str:
        """Where."""
        return self._opened.endpoint.provider_name

    async def begin(self) -> Self:
        """Wait for the first of the answer: until then another endpoint may be tried.

        Raises:
            UpstreamFault: None came.
        """
        with faults_told(self._opened.sending):
            if self._opened.exchange.is_stream:
                while not self._tee.has_output and not self._is_over:
                    await self._read()
                self._opened.lane.began()
            else:
                await self._read_whole()
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next events."""
        while not self._events:
            if self._is_over:
                raise StopAsyncIteration
            try:
                with faults_told(self._opened.sending):
                    await self._read()
            except UpstreamFault as fault:
                self._break_off(fault)
        events, self._events = self._events, []
        return b"".join(events)

    async def aclose(self) -> None:
        """Leave: the upstream is told by the closed connection."""
        self._is_over = True
        self._opened.exchange.close()
        self._opened.spending.cut("cancelled", "", output_bytes=self._tee.output_bytes, generation=self._tee.generation)

    async def _read(self) -> None:
        piece = await anext(self._pieces, None)
        if piece is not None:
            self._events += self._tee.feed(piece)
            return
        events, answer = self._tee.finish()
        self._events += events
        self._is_over = True
        self._opened.spending.answered(answer.raw_usage, model=answer.upstream_model)

    async def _read_whole(self) -> None:
        """From an upstream that does not stream."""
        body = await self._opened.exchange.read()
        answer = read_completion(body)
        self._opened.lane.began()
        self._is_over = True
        self._events = as_events(body)
        self._opened.spending.answered(answer.raw_usage, model=answer.upstream_model)

    def _break_off(self, fault: UpstreamFault) -> None:
        self._is_over = True
        self._opened.exchange.close()
        self._opened.spending.cut(
            fault.outcome, fault.message, output_bytes=self._tee.output_bytes, generation=self._tee.generation
        )
        self._opened.ticket.failed(fault)
        told = f"the answer broke off after part of it had been passed on: {fault.message}; ask again"
        self._events.append(error_event(told, reason=fault.outcome))


class Passage:
    """Passes requests on.

    Args:
        attempts: Shared by all that call models in this process.
    """

    def __init__(self, attempts: Attempts) -> None:
        self._attempts = attempts

    async def whole(self, question: Question, *, charge: Charge, observe: Callable[[ModelAttempt], None]) -> Passed:
        """Get an answer in one piece. Errors as for `ModelClient.generate`."""
        read = read_completion if question.operation is Operation.CHAT else read_embeddings

        async def take(opened: Opened) -> Passed:
            with faults_told(opened.sending):
                body = await opened.exchange.read()
                answer = read(body)
            opened.lane.began()
            cost = opened.spending.answered(answer.raw_usage, model=answer.upstream_model).cost
            return Passed(body, opened.endpoint.alias, opened.endpoint.provider_name, cost)

        return await self._attempts.answer(Call(question=question, charge=charge, observe=observe), take)

    async def stream(
        self, question: Question, *, shows_usage: bool, charge: Charge, observe: Callable[[ModelAttempt], None]
    ) -> LiveStream:
        """Get an answer's beginning; the rest comes from what is returned. Errors as for `ModelClient.generate`."""

        async def take(opened: Opened) -> LiveStream:
            return await LiveStream(opened, StreamTee(shows_usage=shows_usage)).begin()

        return await self._attempts.answer(Call(question=question, charge=charge, observe=observe), take)
