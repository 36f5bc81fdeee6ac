"""An upstream that always gives the same answer, as fast as it can: `python -m bench.model_upstream PORT`.

It speaks just enough HTTP/1.1 for keep-alive POSTs, so that what is measured is what stands before it.
"""

import asyncio
import json
import sys

USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15, "cost": 0.000081}
HEAD = {"id": "gen-1", "created": 1, "model": "anthropic/claude-sonnet-4.5"}
WHOLE = json.dumps(
    {
        **HEAD,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "pong"}, "finish_reason": "stop"}],
        "usage": USAGE,
    }
).encode()
CHUNKS = [
    {**HEAD, "choices": [{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}]}
    for text in ("po", "ng", "!")
]
LAST = {**HEAD, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
STREAM = b"".join(
    f"data: {json.dumps({'object': 'chat.completion.chunk', **chunk})}\n\n".encode()
    for chunk in (*CHUNKS, LAST, {**HEAD, "choices": [], "usage": USAGE})
)
WHOLE_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
    len(WHOLE),
    WHOLE,
)
EVENTS = STREAM + b"data: [DONE]\n\n"
STREAM_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n%s" % (
    len(EVENTS),
    EVENTS,
)


class Answering(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to answer."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        self._data += data
        while True:
            head, mark, rest = self._data.partition(b"\r\n\r\n")
            if not mark:
                return
            length = next(
                (int(line[15:]) for line in head.split(b"\r\n") if line[:15].lower() == b"content-length:"), 0
            )
            if len(rest) < length:
                return
            body, self._data = rest[:length], rest[length:]
            streams = b'"stream":true' in body or b'"stream": true' in body
            assert self._transport is not None
            self._transport.write(STREAM_ANSWER if streams else WHOLE_ANSWER)


async def main(port: int) -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", port)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
