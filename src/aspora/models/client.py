"""The model client over HTTP: one structured answer to one request, whole or with its text as it arrives."""

from collections.abc import Callable

from aspora.models.attempts import Attempts, Call, Opened
from aspora.models.interface import Charge, ModelAttempt, ModelReply, ModelRequest
from aspora.models.question import question_of
from aspora.models.upstream import faults_told
from aspora.models.wire import Answer, StreamReader, read_completion


class HttpModelClient:
    """Implements `ModelClient` by attempts at upstreams.

    Args:
        attempts: Shared by all that call models in this process.
    """

    def __init__(self, attempts: Attempts) -> None:
        self._attempts = attempts

    async def generate(
        self,
        request: ModelRequest,
        *,
        charge: Charge,
        observe: Callable[[ModelAttempt], None],
        on_text: Callable[[str], None] | None = None,
    ) -> ModelReply:
        """Get one answer; see `ModelClient.generate`."""
        call = Call(question=question_of(request, streams=on_text is not None), charge=charge, observe=observe)

        def pass_on(text: str) -> None:
            call.has_passed_on = True
            if on_text is not None:
                on_text(text)

        async def take(opened: Opened) -> ModelReply:
            with faults_told(opened.sending):
                answer = await _read(opened, pass_on)
            opened.exchange.close()
            answered = opened.spending.answered(answer.raw_usage, model=answer.upstream_model)
            return ModelReply(
                text=answer.text,
                tool_calls=answer.tool_calls,
                finish_reason=answer.finish_reason,
                alias=opened.endpoint.alias,
                upstream_model=answer.upstream_model,
                usage=answered.usage,
                cost=answered.cost,
            )

        return await self._attempts.answer(call, take)


async def _read(opened: Opened, pass_on: Callable[[str], None]) -> Answer:
    if not opened.exchange.is_stream:
        answer = read_completion(await opened.exchange.read())
        opened.lane.began()
        if answer.text:
            pass_on(answer.text)
        return answer
    reader = StreamReader()
    async for piece in opened.exchange.pieces():
        for text in reader.feed(piece):
            opened.lane.began()
            pass_on(text)
        if reader.has_output:
            opened.lane.began()
    return reader.finish()
