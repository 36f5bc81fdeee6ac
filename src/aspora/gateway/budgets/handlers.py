"""The handlers: budgets listed, raised and reset; calls listed; costs summed."""

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from aspora.access.authorize import authorize, is_allowed
from aspora.access.interface import ObjectReader
from aspora.gateway.budgets.contract import DEFAULT_LIMIT, MAX_LIMIT
from aspora.gateway.budgets.forms import (
    BUDGET_TABLE,
    Wire,
    budget_sections,
    budget_wire,
    call_sections,
    call_table,
    call_wire,
    cost_table,
    costs_wire,
    list_form,
)
from aspora.gateway.history.pages import instant_in
from aspora.gateway.http import caller_of, integer_in, json_response, printable, query_of, read_json_object, wants
from aspora.gateway.origin import origin_of
from aspora.gateway.tables import TableForm, description
from aspora.gateway.visibility import visible_domains
from aspora.kit.clock import Clock
from aspora.ledger.costs import MOST_MICRO_USD
from aspora.ledger.interface import Account, Accounts, CallFilter, CallState, CostBy, Reports, ScopeKind
from aspora.ledger.reports import no_such_budget, no_such_call
from aspora.ledger.windows import domain_of
from aspora.meta.errors import BadRequest, FieldError, Invalid, StatusError
from aspora.meta.names import did_you_mean

BUDGETS: Final = "budgets"
CALLS: Final = "calls"
COSTS: Final = "costs"

_DEFAULT_COSTS: Final = timedelta(days=7)
_BUDGET_NAME: Final = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
_CALL_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}", re.ASCII)

WordT = TypeVar("WordT", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class BudgetHandlers:
    """One method a route, and the parts they call."""

    accounts: Accounts
    reports: Reports
    reader: ObjectReader
    clock: Clock

    async def list_budgets(self, request: Request) -> Response:
        """Budgets whose window is open, newest first."""
        query = query_of(request, ("scope", "limit", "continue"))
        domains = await self._visible(request, BUDGETS, request.path_params.get("domain"))
        kind = _word(query["scope"], ScopeKind, "scope") if "scope" in query else None
        limit = integer_in(query, "limit", default=DEFAULT_LIMIT, minimum=1, maximum=MAX_LIMIT)
        token = query.get("continue", "")
        if token and not _BUDGET_NAME.fullmatch(token):
            raise _bad_token()
        before = int(token) if token else None
        found = await self.reports.budgets(domains=domains, kind=kind, before=before, limit=limit + 1)
        items = [budget_wire(account) for account in found[:limit]]
        next_token = items[-1]["metadata"]["name"] if len(found) > limit else None
        body = list_form(items, wants(request), kind="Budget", table=BUDGET_TABLE, token=next_token)
        return json_response(body)

    async def get_budget(self, request: Request) -> Response:
        """One budget."""
        query_of(request, ())
        return self._budget(request, await self._account(request, "get"))

    async def set_budget(self, request: Request) -> Response:
        """Change the cap of a budget's present window; the object that names the cap of the next ones stays."""
        query_of(request, ())
        account = await self._account(request, "update")
        cap = _cap_in(await read_json_object(request))
        return self._budget(request, await self.accounts.set_cap(account.key, cap, audit=_audit(request, account)))

    async def reset_budget(self, request: Request) -> Response:
        """Forgive what a budget's present window has spent."""
        query_of(request, ())
        account = await self._account(request, "update")
        return self._budget(request, await self.accounts.reset(account.key, audit=_audit(request, account)))

    async def list_calls(self, request: Request) -> Response:
        """Model calls, newest first."""
        query = query_of(request, ("skill", "state", "since", "limit", "continue"))
        wanted = CallFilter(
            domains=await self._visible(request, CALLS, request.path_params.get("domain")),
            skill=query.get("skill"),
            states=frozenset(_word(word, CallState, "state") for word in query["state"].split(","))
            if "state" in query
            else frozenset(CallState),
            since=instant_in(query, "since"),
            before=_read_token(query["continue"]) if query.get("continue") else None,
        )
        limit = integer_in(query, "limit", default=DEFAULT_LIMIT, minimum=1, maximum=MAX_LIMIT)
        found = await self.reports.calls(wanted, limit=limit + 1)
        token = _token_after(found[limit - 1].reserved_at, found[limit - 1].id) if len(found) > limit else None
        items = [call_wire(call) for call in found[:limit]]
        table = call_table(now=self.clock.now())
        return json_response(list_form(items, wants(request), kind="Call", table=table, token=token))

    async def get_call(self, request: Request) -> Response:
        """One model call."""
        query_of(request, ())
        name: str = request.path_params["name"]
        missing = no_such_call(printable(name))
        if not _CALL_NAME.fullmatch(name):
            raise missing
        call = await self.reports.call(name)
        _require(request, "get", CALLS, call.attribution.domain, name, missing=missing)
        return _one(request, call_wire(call), call_table(now=self.clock.now()), call_sections(call_wire(call)))

    async def costs(self, request: Request) -> Response:
        """What calls cost, summed up."""
        query = query_of(request, ("by", "since", "domain", "limit"))
        domains = await self._visible(request, COSTS, query.get("domain"))
        by = _word(query.get("by", CostBy.DOMAIN), CostBy, "by")
        since = instant_in(query, "since") or self.clock.now() - _DEFAULT_COSTS
        limit = integer_in(query, "limit", default=DEFAULT_LIMIT, minimum=1, maximum=MAX_LIMIT)
        total, sums = await self.reports.costs(by, since=since, domains=domains, limit=limit)
        body = costs_wire(by, since, total, sums)
        form = wants(request)
        if form == "Table":
            rows = [
                {**one, "metadata": {"name": one["name"]}}
                for one in [*body["items"], body["total"] | {"name": "TOTAL"}]
            ]
            return json_response(cost_table(by).table(rows if sums else [], metadata={}))
        if form:
            raise BadRequest(f"costs can't be shown as {form!r}; ask for as=Table")
        return json_response(body)

    async def _visible(self, request: Request, plural: str, domain: str | None) -> tuple[str, ...] | None:
        return await visible_domains(caller_of(request), self.reader, verb="list", plural=plural, domain=domain)

    async def _account(self, request: Request, verb: str) -> Account:
        """The budget that a path names, if the caller may do that with it."""
        name: str = request.path_params["name"]
        missing = no_such_budget(printable(name))
        if not _BUDGET_NAME.fullmatch(name):
            raise missing
        account = await self.reports.budget(int(name))
        _require(request, verb, BUDGETS, domain_of(account.key.scope), name, missing=missing)
        return account

    def _budget(self, request: Request, account: Account) -> Response:
        obj = budget_wire(account)
        return _one(request, obj, BUDGET_TABLE, budget_sections(obj))


def _one(request: Request, obj: Wire, table: TableForm, sections: Any) -> Response:
    """One record in the form asked for."""
    form = wants(request)
    if form == "Table":
        return json_response(table.table([obj], metadata={}))
    return json_response(description(sections) if form else obj)


def _require(request: Request, verb: str, plural: str, domain: str, name: str, *, missing: StatusError) -> None:
    """Refuse what the caller may not do; who may not even see the record hears what they would if it were not there.

    Raises:
        NotFound: It is not theirs to see, or lies in another domain than the path says.
        Forbidden: They see it, yet may not do this.
    """
    caller, place = caller_of(request), request.path_params.get("domain")
    if (place is not None and place != domain) or not is_allowed(caller, "get", plural, domain or None, name):
        raise missing
    authorize(caller, verb, plural, domain or None, name)


def _audit(request: Request, account: Account) -> dict[str, Any]:
    act = origin_of(request).act(caller_of(request), "update")
    return {**act.to_wire(), "domain": domain_of(account.key.scope)}


def _cap_in(body: Wire) -> int | None:
    """The cap that a body asks for.

    Raises:
        Invalid: It is none, or something else is there too.
    """
    errors = [
        FieldError(name[:80], f"is no field of a change{did_you_mean(name, ['cap'])}") for name in body if name != "cap"
    ]
    cap = body.get("cap", "")
    is_cap = cap is None or (isinstance(cap, int) and not isinstance(cap, bool) and 0 <= cap <= MOST_MICRO_USD)
    if not is_cap:
        errors.append(FieldError("cap", f"must be a whole number from 0 to {MOST_MICRO_USD}, or null for none"))
    if errors:
        raise Invalid(
            "; ".join(f"{e.field!r} {e.message}" for e in errors) + '; send {"cap": 12500000}', details=errors
        )
    return cap if isinstance(cap, int) else None


def _word(text: str, words: type[WordT], name: str) -> WordT:
    try:
        return words(text)
    except ValueError:
        known = ", ".join(words)
        raise BadRequest(f"query parameter {name!r} is {printable(text)!r}; known: {known}") from None


def _token_after(moment: datetime, call: str) -> str:
    return base64.urlsafe_b64encode(f"{moment.isoformat()} {call}".encode()).decode().rstrip("=")


def _read_token(token: str) -> tuple[datetime, str]:
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
        moment_text, call = text.split(" ")
        moment = datetime.fromisoformat(moment_text)
    except (ValueError, binascii.Error):
        raise _bad_token() from None
    if moment.tzinfo is None or not _CALL_NAME.fullmatch(call):
        raise _bad_token()
    return moment, call


def _bad_token() -> BadRequest:
    return BadRequest("the continue token is not one of ours; list from the start")
