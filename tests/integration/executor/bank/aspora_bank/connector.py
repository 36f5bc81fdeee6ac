"""Bank: a connector over real HTTP, whose three operations are the three sorts that the effect journal knows."""

import os
from collections.abc import Mapping
from typing import Any

import aiohttp

from aspora.executor.interface import ConnectorCall, OperationTraits, OutcomeInDoubt
from aspora.meta.errors import MethodNotAllowed, Unavailable, from_status

OPERATIONS: Mapping[str, OperationTraits] = {
    "balance": OperationTraits(is_write=False),
    "pay": OperationTraits(),
    "refund": OperationTraits(takes_idempotency_key=True),
}


class Bank:
    """Calls the server at `BANK_URL`."""

    def __init__(self) -> None:
        # A test holds hundreds of calls at once, for as long as it likes.
        everybody, for_ever = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout()
        self._session = aiohttp.ClientSession(os.environ["BANK_URL"], connector=everybody, timeout=for_ever)

    def traits(self, operation: str) -> OperationTraits:
        """What is known of an operation."""
        if operation not in OPERATIONS:
            raise MethodNotAllowed(f"bank has no operation {operation!r}; known: {', '.join(OPERATIONS)}")
        return OPERATIONS[operation]

    async def call(self, call: ConnectorCall) -> Any:
        """One POST."""
        headers = {"Idempotency-Key": call.idempotency_key} if call.idempotency_key else {}
        try:
            async with self._session.post(f"/{call.operation}", json=dict(call.arguments), headers=headers) as answer:
                body = await answer.json()
                if answer.status < 500:
                    if answer.status >= 400:
                        raise from_status(body)
                    return body
                raise OutcomeInDoubt(f"the bank answered {answer.status}")
        except aiohttp.ClientConnectorError as error:
            raise Unavailable("the bank can't be reached") from error
        except (TimeoutError, aiohttp.ClientError) as error:
            raise OutcomeInDoubt(type(error).__name__) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()
