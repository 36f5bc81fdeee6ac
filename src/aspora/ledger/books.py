"""The ledger's statements: each one is its own transaction."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aspora.db.pool import Database, Row
from aspora.db.queries import Queries
from aspora.ledger.interface import AccountKey, Hold, Swept

_queries = Queries.load("aspora.ledger", "ledger.sql")
_MOST_TEXT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """One part of a request for slices.

    Attributes:
        cap: For an account that is not there yet.
        need: What the call needs.
        want: What would do for a while.
    """

    key: AccountKey
    cap: int | None
    need: int
    want: int


@dataclass(frozen=True, slots=True)
class Renewed:
    """What a holder learns of the accounts that it leases.

    Attributes:
        paused: Those that are.
        throttled: Those that are near their cap.
    """

    paused: tuple[int, ...]
    throttled: frozenset[int]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a settling statement says.

    Attributes:
        known: For each item, whether its call had an intent still.
        fired: How many thresholds were passed; they wait to be told.
        paused: Accounts that are.
        throttled: Accounts that are near their cap.
    """

    known: tuple[bool, ...]
    fired: int
    paused: tuple[int, ...]
    throttled: frozenset[int]


class Books:
    """All that is done to rows of the ledger for those who make calls."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def register(self, name: str, *, ttl_seconds: float) -> int:
        """A new holder's epoch."""
        async with self._database.connection() as connection:
            epoch: int = await _queries.fetch_value(connection, "register_holder", name=name, ttl_seconds=ttl_seconds)
        return epoch

    async def renew(self, epoch: int, *, ttl_seconds: float) -> Renewed | None:
        """Make a holder's time longer; None: it is over."""
        async with self._database.connection() as connection:
            row = await _queries.fetch_one(connection, "renew_holder", epoch=epoch, ttl_seconds=ttl_seconds)
        return None if row is None else Renewed(tuple(row["paused"]), frozenset(row["throttled"]))

    async def grant(self, epoch: int, requests: Sequence[Sequence[Want]]) -> list[list[Row]] | None:
        """For each request a row for each of its parts, in their order; None: the holder's time is over."""
        text = json.dumps([[_want(want) for want in request] for request in requests])
        async with self._database.connection() as connection:
            rows = await _queries.fetch_all(connection, "grant", epoch=epoch, requests=text)
        if not rows:
            return None
        answers: list[list[Row]] = [[] for _ in requests]
        for row in rows:
            answers[row["request"]].append(row)
        return answers

    async def intend(self, epoch: int, holds: Sequence[Hold]) -> bool:
        """Keep intents; False: the holder's time is over, and nothing is kept."""
        async with self._database.connection() as connection:
            text = json.dumps([_intent(hold) for hold in holds])
            return await _queries.fetch_one(connection, "intend", epoch=epoch, intents=text) is not None

    async def settle(self, items: Sequence[Mapping[str, Any]]) -> Answers:
        """Say what is known of calls; see the function."""
        async with self._database.connection() as connection:
            answer = await _queries.fetch_value(connection, "settle", items=json.dumps(items))
        places = frozenset(answer["known"])
        known = tuple(place in places for place in range(1, len(items) + 1))
        return Answers(known, answer["fired"], tuple(answer["paused"]), frozenset(answer["throttled"]))

    async def give_back(self, epoch: int, amounts: Mapping[int, int]) -> bool:
        """Return parts of leases, by account; False: the holder's time is over."""
        parts = json.dumps([{"account": account, "amount": amount} for account, amount in amounts.items()])
        async with self._database.connection() as connection:
            return bool(await _queries.fetch_value(connection, "give_back", epoch=epoch, parts=parts))

    async def leases(self, epoch: int) -> dict[int, int]:
        """What a holder has, by account."""
        async with self._database.connection() as connection:
            rows = await _queries.fetch_all(connection, "list_leases", epoch=epoch)
        return {row["account_id"]: row["amount"] for row in rows}

    async def sweep(self, *, own: int | None = None) -> Swept | None:
        """End one holder whose time is over, or `own`; None: there was none."""
        async with self._database.connection() as connection:
            answer = await _queries.fetch_value(connection, "sweep", own=own)
        return None if answer is None else Swept(answer["epoch"], answer["doubted"], len(answer["fired"]))


def plain(text: str) -> str:
    """A text that any column takes: what an upstream calls itself must not keep its cost out of the books."""
    return text[:_MOST_TEXT].encode("utf-8", "replace").decode().replace("\x00", "")


def _want(want: Want) -> dict[str, Any]:
    key = want.key
    return {
        "kind": key.scope.kind,
        "name": key.scope.name,
        "window": key.window,
        "start": key.start.isoformat(),
        "unit": key.unit,
        "rank": key.scope.kind.rank,
        "cap": want.cap,
        "need": want.need,
        "want": want.want,
    }


def _intent(hold: Hold) -> dict[str, Any]:
    wanted = hold.reservation
    return {
        "id": hold.id,
        "accounts": [part.account for part in hold.parts],
        "holds": [part.amount for part in hold.parts],
        "hold": wanted.hold_micro_usd,
        "model": plain(wanted.model),
        "provider": plain(wanted.provider),
        "attribution": {name: plain(text) for name, text in asdict(wanted.attribution).items()},
        "route": _plain_json(wanted.route),
        "reserved_at": hold.reserved_at.isoformat(),
    }


def _plain_json(value: Any) -> Any:
    """A value whose texts any column takes."""
    match value:
        case str():
            return plain(value)
        case Mapping():
            return {plain(str(name)): _plain_json(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_plain_json(inner) for inner in value]
        case _:
            return value
