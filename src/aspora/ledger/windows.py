"""Windows of UTC time, where one begins and when it is over; and in which domain a scope lies."""

from datetime import UTC, datetime, timedelta

from aspora.ledger.interface import AccountKey, Limit, Reservation, Scope, ScopeKind, Unit, Window

NO_START = datetime(1970, 1, 1, tzinfo=UTC)


def window_start(window: Window, at: datetime) -> datetime:
    """The start of the window that an instant lies in."""
    at = at.astimezone(UTC)
    match window:
        case Window.EXECUTION:
            return NO_START
        case Window.MINUTE:
            return at.replace(second=0, microsecond=0)
        case Window.HOUR:
            return at.replace(minute=0, second=0, microsecond=0)
        case Window.DAY:
            return at.replace(hour=0, minute=0, second=0, microsecond=0)
        case Window.MONTH:
            return at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def window_end(window: Window, start: datetime) -> datetime | None:
    """The first instant after a window; None: it has no end."""
    match window:
        case Window.EXECUTION:
            return None
        case Window.MINUTE:
            return start + timedelta(minutes=1)
        case Window.HOUR:
            return start + timedelta(hours=1)
        case Window.DAY:
            return start + timedelta(days=1)
        case Window.MONTH:
            return (start + timedelta(days=32)).replace(day=1)


def domain_of(scope: Scope) -> str:
    """The domain whose owner may look after a scope; "" for what is the platform's alone."""
    match scope.kind:
        case ScopeKind.DOMAIN:
            return scope.name
        case ScopeKind.KEY:
            return scope.name.partition("@")[2]
        case ScopeKind.SKILL | ScopeKind.USER | ScopeKind.TRIGGER | ScopeKind.ARM:
            domain, slash, _ = scope.name.partition("/")
            return domain if slash else ""
        case ScopeKind.EXECUTION | ScopeKind.PLATFORM:
            return ""


def key_of(limit: Limit, at: datetime) -> AccountKey:
    """The account of a limit at an instant."""
    return AccountKey(limit.scope, limit.window, window_start(limit.window, at), limit.unit)


def caps_of(wanted: Reservation, at: datetime) -> dict[AccountKey, int | None]:
    """The caps of all accounts that a call falls under."""
    return {key_of(limit, at): limit.cap for limit in wanted.limits}


def needs_of(wanted: Reservation, at: datetime) -> dict[AccountKey, int]:
    """What a call must find in each account, in its unit."""
    amounts = {Unit.MICRO_USD: wanted.hold_micro_usd, Unit.TOKENS: wanted.hold_tokens, Unit.REQUESTS: 1}
    return {key_of(limit, at): amounts[limit.unit] for limit in wanted.limits}
