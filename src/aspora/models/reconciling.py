"""What a stream that was cut short really cost, asked of the upstream afterwards by the id of its generation.

Source: OpenRouter's API, `GET /generation?id=…`: `data.total_cost` in USD and native token counts.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote

import aiohttp

from aspora.ledger.interface import Hold, Ledger, Settlement
from aspora.models.catalog import Endpoint
from aspora.models.pricing import upstream_micro_usd
from aspora.models.upstream import headers_of
from aspora.models.wire import Malformed, load_json
from aspora.telemetry.logs import get_logger

WAITS_SECONDS: Final = (1.0, 5.0, 30.0, 120.0)
"""Before each time that it is asked: the upstream books a moment after its work has ended."""

_TIMEOUT: Final = aiohttp.ClientTimeout(total=20)
_MOST_BYTES: Final = 64 * 1024
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A call whose answer was cut short.

    Attributes:
        generation: The upstream's id of it.
        bound: What is booked when the upstream never says.
    """

    hold: Hold
    endpoint: Endpoint
    generation: str
    bound: Settlement


class Reconciler:
    """Asks until it is told, and books the truth; of one event loop.

    Args:
        ledger: Has the calls in doubt.
        session_for: Gives the connections to an endpoint.
        sleep: Waits.
        waits_seconds: Before each time that it asks.
    """

    def __init__(
        self,
        ledger: Ledger,
        session_for: Callable[[Endpoint], aiohttp.ClientSession],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        waits_seconds: Sequence[float] = WAITS_SECONDS,
    ) -> None:
        self._ledger = ledger
        self._session_for = session_for
        self._sleep = sleep
        self._waits = waits_seconds
        self._asking: set[asyncio.Task[None]] = set()

    def later(self, cut: Cut) -> None:
        """Charge the whole hold for now, and find out."""
        self._ledger.doubt(cut.hold)
        task = asyncio.create_task(self._find_out(cut), name="model-reconciler")
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def close(self) -> None:
        """Stop asking: what is not known by now is booked at its bound."""
        asking = list(self._asking)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    async def _find_out(self, cut: Cut) -> None:
        settlement = cut.bound
        try:
            for seconds in self._waits:
                await self._sleep(seconds)
                told = await self._ask(cut)
                if told is not None:
                    settlement = replace(cut.bound, **told, findings=("Cut", "Reconciled"))
                    return
        finally:
            self._ledger.settle(cut.hold, settlement)

    async def _ask(self, cut: Cut) -> Mapping[str, Any] | None:
        """The parts of a settlement that the upstream tells; None when it can't now."""
        endpoint = cut.endpoint
        path = (endpoint.provider.generation_path or "").replace("{id}", quote(cut.generation, safe=""))
        try:
            async with self._session_for(endpoint).get(
                f"{endpoint.base_url}{path}", headers=headers_of(endpoint), timeout=_TIMEOUT, allow_redirects=False
            ) as response:
                if response.status != 200:
                    return None
                return _read(await response.content.read(_MOST_BYTES))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            _log.warning("generation not asked for", provider=endpoint.provider_name, error=type(error).__name__)
            return None


def _read(raw: bytes) -> Mapping[str, Any] | None:
    try:
        body = load_json(raw)
    except Malformed:
        return None
    data: Any = body.get("data") if isinstance(body, dict) else None
    cost = data.get("total_cost") if isinstance(data, dict) else None
    if cost is None:
        return None
    return {
        "upstream_micro_usd": upstream_micro_usd(cost),
        "input_tokens": _count(data.get("native_tokens_prompt")),
        "output_tokens": _count(data.get("native_tokens_completion")),
    }


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
