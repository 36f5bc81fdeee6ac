"""The ports of the ledger: `Ledger` for who makes calls, `Accounts`, `Thresholds`, `Doubts` for who looks after them.

The life of a call: `reserve` → `intend` → `may_send` → the call goes out → `settle`, or `doubt` when nobody knows what
came of it, or `release` when it surely never went out.
"""

from asyncio import Future
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Any, NewType, Protocol

from aspora.db.pool import Connection

CallId = NewType("CallId", str)


class ScopeKind(StrEnum):
    """Whose budget; narrow ones first, which is the order in which their rows are locked."""

    EXECUTION = "execution"
    SKILL = "skill"
    KEY = "key"
    USER = "user"
    TRIGGER = "trigger"
    ARM = "arm"
    DOMAIN = "domain"
    PLATFORM = "platform"

    @property
    def rank(self) -> int:
        """0 for the narrowest."""
        return list(ScopeKind).index(self)


class Window(StrEnum):
    """For how long a cap holds; in UTC, but for `EXECUTION`, which ends with the execution."""

    EXECUTION = "execution"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


class Unit(StrEnum):
    """What is counted. Only money has thresholds and pauses; the others are rate limits."""

    MICRO_USD = "micro_usd"
    REQUESTS = "requests"
    TOKENS = "tokens"


@dataclass(frozen=True, slots=True)
class Scope:
    """Names one budget's owner.

    Attributes:
        name: Unique among its kind. A skill's is `domain/name`, and so begins that of a user, a trigger and an arm; a
            key's is `name@domain`, or `name`; the platform's is "".
    """

    kind: ScopeKind
    name: str


@dataclass(frozen=True, slots=True)
class Limit:
    """A cap that a call falls under.

    Attributes:
        cap: None: counted and never refused. Another one than was named last replaces the cap of a window that is in
            use, also one that a person has set by `Accounts.set_cap` since.
    """

    scope: Scope
    window: Window
    cap: int | None
    unit: Unit = Unit.MICRO_USD


@dataclass(frozen=True, slots=True)
class AccountKey:
    """Names one account.

    Attributes:
        start: Of the window, UTC; that of an execution starts in 1970.
    """

    scope: Scope
    window: Window
    start: datetime
    unit: Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """To whom a call is charged in reports; "" where it does not apply."""

    domain: str = ""
    skill: str = ""
    revision: str = ""
    execution: str = ""
    user: str = ""
    trigger: str = ""
    cost_center: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What a call may cost, and who has a say in it.

    Attributes:
        limits: All that it falls under.
        hold_micro_usd: An upper bound, never an estimate; >= 0.
        hold_tokens: Likewise.
        model: As it will be asked for.
        provider: Name of the Provider.
        is_bounded: False: nobody can say what it may cost, the hold is 0, and no limit in money has a cap; whatever it
            costs is then booked, and is no overrun.
        route: Why it goes there: small, and JSON; kept with the call.
    """

    limits: tuple[Limit, ...]
    hold_micro_usd: int
    hold_tokens: int = 0
    model: str
    provider: str
    attribution: Attribution = field(default_factory=Attribution)
    is_bounded: bool = True
    route: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """What one account holds for a call, in its unit."""

    key: AccountKey
    account: int
    amount: int


@dataclass(frozen=True, slots=True)
class Hold:
    """A reservation that was granted.

    Attributes:
        epoch: The lease from which it was taken; it is good for nothing once that has ended.
    """

    id: CallId
    epoch: int
    reserved_at: datetime
    reservation: Reservation
    parts: tuple[Part, ...]


class CostSource(Enum):
    """By which rule a cost was booked; see `costs.book`."""

    UPSTREAM = "upstream"
    PRICES = "prices"
    HOLD = "hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What came of a call, as it was told.

    Attributes:
        outcome: `ok`, or what went wrong in snake_case.
        upstream_micro_usd: What the upstream said it costs, whatever that is; None: nothing.
        priced_micro_usd: What the prices say; None: no price, or no usage.
        input_tokens: None: not told.
        output_tokens: Likewise.
        model: That answered; None: the one that was asked for.
        provider: Likewise.
        findings: CamelCase, of who tells it; they stand before those of the booking.
    """

    outcome: str = "ok"
    upstream_micro_usd: int | float | Decimal | None = None
    priced_micro_usd: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    model: str | None = None
    provider: str | None = None
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settled:
    """What was booked.

    Attributes:
        findings: CamelCase: `CostMissing`, `CostInvalid`, `CostDrift`, `CostClamped`, `Overrun`.
        is_new: False when the call was settled before; then nothing was booked now.
    """

    cost_micro_usd: int
    source: CostSource
    findings: tuple[str, ...]
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account as it stands.

    Attributes:
        spent: What its calls cost, those in doubt at their full hold, less what a reset has forgiven.
        leased: Held by processes for calls under way and to come.
        in_doubt: The part of what was spent that waits to be reconciled.
        overrun: By how much calls went over their holds.
        paused: `Cap` or `Overrun`; None: it is open.
        is_throttled: So near its cap that one call a second goes through.
    """

    id: int
    key: AccountKey
    cap: int | None
    spent: int
    leased: int
    in_doubt: int
    overrun: int
    paused: str | None
    is_throttled: bool
    opened_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtfulCall:
    """A call that may have been charged by the upstream; its hold counts as spent."""

    id: CallId
    hold_micro_usd: int
    model: str
    provider: str
    reserved_at: datetime
    attribution: Attribution
    route: Mapping[str, Any]


class CallState(StrEnum):
    """What is known of a call: it was booked, nobody knows what it cost, or it is under way."""

    SETTLED = "Settled"
    IN_DOUBT = "InDoubt"
    OPEN = "Open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call as it is kept.

    Attributes:
        was_in_doubt: Its hold was charged at first.
        cost_micro_usd: None until it is settled, like all else that is told of its outcome.
        cost_source: A value of `CostSource`.
        upstream_micro_usd: What the upstream said; None also when it said nothing.
        priced_micro_usd: What the prices say, likewise.
        findings: As in `Settled`.
        route: As in `Reservation`.
    """

    id: CallId
    state: CallState
    reserved_at: datetime
    settled_at: datetime | None
    was_in_doubt: bool
    hold_micro_usd: int
    cost_micro_usd: int | None
    cost_source: str | None
    upstream_micro_usd: int | None
    priced_micro_usd: int | None
    input_tokens: int | None
    output_tokens: int | None
    model: str
    provider: str
    outcome: str | None
    findings: tuple[str, ...]
    attribution: Attribution
    route: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFilter:
    """Which calls; None for no limit.

    Attributes:
        domains: Only there; "" is what belongs to none.
        skill: Its name without the domain.
        since: Reserved then or later.
        before: After the call of this instant and id in the list, which has the newest first.
    """

    domains: tuple[str, ...] | None = None
    skill: str | None = None
    states: frozenset[CallState] = frozenset(CallState)
    since: datetime | None = None
    before: tuple[datetime, str] | None = None


class CostBy(StrEnum):
    """By what costs are summed."""

    DOMAIN = "domain"
    SKILL = "skill"
    REVISION = "revision"
    MODEL = "model"
    PROVIDER = "provider"
    USER = "user"
    TRIGGER = "trigger"
    COST_CENTER = "cost-center"
    DAY = "day"


@dataclass(frozen=True, slots=True, kw_only=True)
class CostSum:
    """What some calls cost.

    Attributes:
        name: "" for calls that have none, and for the sum of all.
        calls: Settled ones.
        doubtful_calls: Those in doubt, whose holds are charged: `doubt_micro_usd` is not in `cost_micro_usd`.
    """

    name: str
    calls: int
    cost_micro_usd: int
    doubtful_calls: int
    doubt_micro_usd: int
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Swept:
    """What became of a holder whose time was over.

    Attributes:
        doubted: Calls that are in doubt now.
        fired: How many thresholds were passed by that.
    """

    epoch: int
    doubted: int
    fired: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A share of a cap that was passed; it is told once a window, and again when the cap was raised or reset since.

    Attributes:
        percent: 80, 95 or 100.
        spent: Then, of `cap`, in micro-USD.
    """

    key: AccountKey
    percent: int
    spent: int
    cap: int
    fired_at: datetime


class Ledger(Protocol):
    """One a process that makes calls."""

    async def reserve(self, wanted: Reservation) -> Hold:
        """Set an upper bound aside in every account, or in none; from memory when the leases have it.

        Raises:
            BudgetExceeded: A cap on money leaves too little, or is paused.
            TooManyRequests: A rate limit does, or a cap is 95 % spent, and others go first: one call a second.
            Unavailable: The database can't be reached and the leases in memory don't have it.
        """
        ...

    async def intend(self, hold: Hold) -> None:
        """Keep durably that the call goes out. Whatever this raises, `release` the hold.

        Raises:
            Unavailable: It could not be kept, or the lease has ended meanwhile: the call must not go out.
        """
        ...

    def may_send(self, hold: Hold) -> bool:
        """Whether the call may go out now: its intent is kept and its lease holds. Ask right before sending."""
        ...

    def settle(self, hold: Hold, settlement: Settlement) -> Future[Settled]:
        """Book what a call cost; done by and by, whether anybody awaits it or not. Right after `doubt` too."""
        ...

    def doubt(self, hold: Hold) -> Future[None]:
        """Charge a call in full until it is reconciled: it may have gone out, and nobody knows what it cost."""
        ...

    def release(self, hold: Hold) -> Future[None]:
        """Give a hold back whose call never went out; done by and by."""
        ...


class Accounts(Protocol):
    """Looks at budgets and changes them."""

    async def get(self, key: AccountKey) -> Account:
        """One account.

        Raises:
            NotFound: Nobody has used that window yet.
        """
        ...

    async def page(self, *, scope: Scope | None = None, limit: int = 500) -> Sequence[Account]:
        """Accounts, newest window first; None for all scopes."""
        ...

    async def set_cap(self, key: AccountKey, cap: int | None, *, audit: Mapping[str, Any]) -> Account:
        """Change a window's cap and lift its pause, when the cap allows; thresholds ahead will be told again.

        A cap below what is spent and leased takes nothing back: no more is leased.

        Args:
            key: The account.
            cap: None: none.
            audit: Who does it, in the words of `aspora.audit`; kept in the same transaction.

        Raises:
            NotFound: Nobody has used that window yet.
            Invalid: The cap is below 0.
        """
        ...

    async def reset(self, key: AccountKey, *, audit: Mapping[str, Any]) -> Account:
        """Forgive what the window has spent so far and lift its pause. Errors and `audit` as for `set_cap`."""
        ...


class Reports(Protocol):
    """Shows what there is."""

    async def budget(self, id_: int) -> Account:
        """One account.

        Raises:
            NotFound: There is none of that id.
        """
        ...

    async def budgets(
        self, *, domains: Sequence[str] | None, kind: ScopeKind | None = None, before: int | None = None, limit: int
    ) -> Sequence[Account]:
        """Accounts of the windows that are open now, newest first.

        Args:
            domains: Only those of scopes there; "" is the platform. None for all.
            kind: Only such scopes; None for all but executions.
            before: Only those opened before the account of that id.
            limit: At most so many.
        """
        ...

    async def call(self, id_: str) -> Call:
        """One call.

        Raises:
            NotFound: There is none of that id.
        """
        ...

    async def calls(self, wanted: CallFilter, *, limit: int) -> Sequence[Call]:
        """Calls, newest first."""
        ...

    async def costs(
        self, by: CostBy, *, since: datetime, domains: Sequence[str] | None, limit: int
    ) -> tuple[CostSum, Sequence[CostSum]]:
        """The sum of all calls reserved since then, and the sums by name, the dearest first, at most `limit`."""
        ...


class Thresholds(Protocol):
    """What was passed and somebody has to be told."""

    async def tell_next(
        self, tell: Callable[[Connection, Sequence[Threshold]], Awaitable[None]], *, limit: int = 100
    ) -> Sequence[Threshold]:
        """Hand some that nobody was told of to `tell` and mark them, all in one transaction.

        Args:
            tell: Writes what it tells by that connection; may be called again after a conflict, which undid all of it.
                What it raises leaves them untold. It is not called when there are none.
            limit: At most so many.

        Returns:
            Those that were told, oldest first; each is told by one process alone.

        Raises:
            Unavailable: The database can't be reached.
        """
        ...


class Doubts(Protocol):
    """Clears up what nobody knows; any process may."""

    async def sweep(self) -> Sequence[Swept]:
        """End all holders whose time is over: open calls are charged in doubt, the rest of their leases goes back."""
        ...

    async def page(self, *, limit: int = 500) -> Sequence[DoubtfulCall]:
        """Calls in doubt, oldest first."""
        ...

    async def reconcile(self, call: CallId, settlement: Settlement) -> Settled:
        """Book what a call in doubt really cost.

        Raises:
            NotFound: No such call is in doubt: it is settled, or still under way.
        """
        ...
