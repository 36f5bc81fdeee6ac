"""The `/v1` door: its parts put together, and its routes."""

import asyncio
from collections.abc import Callable, Mapping

from starlette.routing import BaseRoute, Route

from aspora.access.interface import ObjectReader
from aspora.gateway.http import OPENAI_PREFIX
from aspora.gateway.openai.catalog import KINDS, ViewCatalog
from aspora.gateway.openai.handlers import ModelHandlers, SkillRuns
from aspora.gateway.openai.payers import KINDS as PAYING_KINDS
from aspora.gateway.openai.payers import Payers
from aspora.gateway.streams import Streams
from aspora.kit.clock import Clock
from aspora.ledger.interface import Accounts, Ledger
from aspora.models.attempts import Attempts
from aspora.models.breaker import Breaker
from aspora.models.budget_view import BudgetView
from aspora.models.limits import PlatformLimits
from aspora.models.passage import Passage
from aspora.telemetry.metrics import Metrics


class ModelDoor:
    """The door; `run` must be running; close it when no request comes any more.

    Args:
        reader: Gives objects.
        version: A number that changes with any object of the kinds given; None while that isn't known.
        environment: Where providers find their URLs and keys.
        ledger: Pays.
        accounts: What is left, for rules that ask.
        platform: Limits of all domains together.
        skills: Runs skills for `skill:` models.
        breaker: Says which upstreams are passed over.
    """

    def __init__(
        self,
        *,
        reader: ObjectReader,
        version: Callable[..., int | None],
        environment: Mapping[str, str],
        ledger: Ledger,
        accounts: Accounts,
        platform: PlatformLimits,
        skills: SkillRuns,
        breaker: Breaker,
        streams: Streams,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        catalog = ViewCatalog(reader, version=lambda: version(*KINDS), environment=environment)
        self._breaker = breaker
        self._attempts = Attempts(catalog, ledger=ledger, clock=clock, breaker=breaker)
        self.handlers = ModelHandlers(
            passage=Passage(self._attempts),
            catalog=catalog,
            payers=Payers(reader, platform=platform, version=lambda: version(*PAYING_KINDS)),
            budgets=BudgetView(accounts, clock),
            skills=skills,
            streams=streams,
            clock=clock,
            metrics=metrics,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Share what is found of upstreams with other processes until told to stop."""
        await self._breaker.run(stop)

    async def close(self) -> None:
        """Close all connections to upstreams."""
        await self._attempts.close()


def model_routes(door: ModelDoor) -> list[BaseRoute]:
    """The routes. Their form is OpenAI's to publish, so that they bring no contract of ours."""
    handlers = door.handlers
    return [
        Route(f"{OPENAI_PREFIX}chat/completions", handlers.chat, methods=["POST"]),
        Route(f"{OPENAI_PREFIX}embeddings", handlers.embeddings, methods=["POST"]),
        Route(f"{OPENAI_PREFIX}models", handlers.list_models),
        Route(f"{OPENAI_PREFIX}models/{{name:path}}", handlers.get_model),
    ]
