"""Budgets, calls and costs on the wire, as tables and as descriptions: dollars for people, micro-USD for machines."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from aspora.apis.kind import Column, Section
from aspora.gateway.tables import TableForm, age_text
from aspora.ledger.interface import Account, Call, CallState, CostBy, CostSum, Unit
from aspora.ledger.windows import domain_of, window_end
from aspora.meta.errors import API_VERSION, BadRequest
from aspora.meta.objects import rfc3339
from aspora.meta.quantities import format_usd

Wire = Mapping[str, Any]

_MAX_SHOWN_CHARACTERS: Final = 2000


def budget_wire(account: Account) -> dict[str, Any]:
    """A budget in its wire form."""
    key, end = account.key, window_end(account.key.window, account.key.start)
    spec: dict[str, Any] = {
        "scope": {"kind": key.scope.kind, "name": key.scope.name},
        "window": key.window,
        "windowStart": rfc3339(key.start),
        "resetsAt": rfc3339(end) if end else None,
        "unit": key.unit,
        "cap": account.cap,
    }
    status: dict[str, Any] = {
        "state": "Paused" if account.paused else "Throttled" if account.is_throttled else "Open",
        "reason": account.paused,
        "spent": account.spent,
        "leased": account.leased,
        "inDoubt": account.in_doubt,
        "overrun": account.overrun,
        "usedPercent": account.spent * 100 // account.cap if account.cap else None,
    }
    metadata = _metadata(str(account.id), domain_of(key.scope), account.opened_at)
    return _record("Budget", metadata, spec, status)


def call_wire(call: Call) -> dict[str, Any]:
    """A call in its wire form."""
    who = call.attribution
    named = {
        "domain": who.domain,
        "skill": who.skill,
        "revision": who.revision,
        "execution": who.execution,
        "user": who.user,
        "trigger": who.trigger,
        "costCenter": who.cost_center,
    }
    spec = {
        "model": call.model,
        "provider": call.provider,
        "holdMicroUsd": call.hold_micro_usd,
        "attribution": {name: text for name, text in named.items() if text},
        "route": dict(call.route),
    }
    status: dict[str, Any] = {
        "state": call.state,
        "wasInDoubt": call.was_in_doubt,
        "settledAt": rfc3339(call.settled_at) if call.settled_at else None,
        "outcome": call.outcome,
        "costMicroUsd": call.cost_micro_usd,
        "costSource": call.cost_source,
        "upstreamMicroUsd": call.upstream_micro_usd,
        "pricedMicroUsd": call.priced_micro_usd,
        "inputTokens": call.input_tokens,
        "outputTokens": call.output_tokens,
        "findings": list(call.findings),
    }
    return _record("Call", _metadata(call.id, who.domain, call.reserved_at), spec, status)


def costs_wire(by: CostBy, since: datetime, total: CostSum, sums: Sequence[CostSum]) -> dict[str, Any]:
    """Sums in their wire form."""
    return {
        "apiVersion": API_VERSION,
        "kind": "CostReport",
        "by": by,
        "since": rfc3339(since),
        "total": _sum_wire(total),
        "items": [_sum_wire(one) for one in sums],
    }


def list_form(items: Sequence[Wire], form: str, *, kind: str, table: TableForm, token: str | None) -> Wire:
    """A page in the form asked for."""
    metadata = {"continue": token} if token else {}
    if form == "Table":
        return table.table(items, metadata=metadata)
    if form == "Description":
        raise BadRequest("a list has no Description; ask for one record, or for as=Table")
    return {"apiVersion": API_VERSION, "kind": f"{kind}List", "metadata": metadata, "items": list(items)}


def _metadata(name: str, domain: str, at: datetime) -> dict[str, Any]:
    return {"name": name, **({"domain": domain} if domain else {}), "creationTimestamp": rfc3339(at)}


def _record(kind: str, metadata: Wire, spec: Wire, status: Wire) -> dict[str, Any]:
    """What is not known is left out."""
    parts = {
        name: {field: value for field, value in part.items() if value is not None}
        for name, part in (("metadata", metadata), ("spec", spec), ("status", status))
    }
    return {"apiVersion": API_VERSION, "kind": kind, **parts}


def _sum_wire(one: CostSum) -> dict[str, Any]:
    return {
        "name": one.name,
        "calls": one.calls,
        "costMicroUsd": one.cost_micro_usd,
        "inDoubtCalls": one.doubtful_calls,
        "inDoubtMicroUsd": one.doubt_micro_usd,
        "inputTokens": one.input_tokens,
        "outputTokens": one.output_tokens,
    }


def _scope(obj: Wire) -> str:
    scope = obj["spec"]["scope"]
    return f"{scope['kind']} {scope['name']}".strip()


def _amount(obj: Wire, amount: int) -> str:
    unit = obj["spec"]["unit"]
    return format_usd(amount) if unit == Unit.MICRO_USD else f"{amount} {unit}"


def _cap(obj: Wire) -> str:
    cap = obj["spec"].get("cap")
    return "none" if cap is None else _amount(obj, cap)


def _used(obj: Wire) -> str:
    percent = obj["status"].get("usedPercent")
    return "" if percent is None else f"{percent} %"


def _state(obj: Wire) -> str:
    status = obj["status"]
    return f"{status['state']} ({status['reason']})" if status.get("reason") == "Overrun" else str(status["state"])


BUDGET_TABLE: Final = TableForm(
    (
        Column("NAME", "metadata.name"),
        Column("SCOPE", _scope),
        Column("WINDOW", "spec.window"),
        Column("SPENT", lambda o: _amount(o, o["status"]["spent"])),
        Column("LEASED", lambda o: _amount(o, o["status"]["leased"])),
        Column("IN DOUBT", lambda o: _amount(o, o["status"]["inDoubt"])),
        Column("CAP", _cap),
        Column("USED", _used),
        Column("STATE", _state),
        Column("RESETS AT", "spec.resetsAt"),
    )
)


def budget_sections(obj: Wire) -> list[Section]:
    """What `describe` shows of a budget."""
    spec, status = obj["spec"], obj["status"]
    about = (
        ("Kind", "Budget"),
        ("Name", obj["metadata"]["name"]),
        ("Domain", obj["metadata"].get("domain", "")),
        ("Scope", _scope(obj)),
        ("Window", f"{spec['window']} from {spec['windowStart']}" if "resetsAt" in spec else str(spec["window"])),
        ("Resets at", spec.get("resetsAt", "")),
        ("Cap", _cap(obj)),
    )
    state = (
        ("State", _state(obj)),
        ("Spent", _amount(obj, status["spent"])),
        ("Used", _used(obj)),
        ("In doubt", _amount(obj, status["inDoubt"])),
        ("Leased", _amount(obj, status["leased"])),
        ("Overrun", _amount(obj, status["overrun"]) if status["overrun"] else ""),
        ("Way out", _way_out(obj)),
    )
    return [Section("Budget", _filled(about)), Section("State", _filled(state))]


def _way_out(obj: Wire) -> str:
    name, status = obj["metadata"]["name"], obj["status"]
    if status.get("reason") == "Overrun":
        return f"a call cost more than the most it could; find out which, then: aspora budgets reset {name}"
    if status["state"] == "Open":
        return ""
    return f"aspora budgets set {name} --cap USD, or wait until it resets"


def _call_cost(obj: Wire) -> str:
    cost = obj["status"].get("costMicroUsd")
    if cost is not None:
        return format_usd(cost)
    hold = format_usd(obj["spec"]["holdMicroUsd"])
    return f"{hold} in doubt" if obj["status"]["state"] == CallState.IN_DOUBT else f"up to {hold}"


def _tokens(obj: Wire) -> str:
    status = obj["status"]
    if "inputTokens" not in status and "outputTokens" not in status:
        return ""
    return f"{status.get('inputTokens', '?')} in, {status.get('outputTokens', '?')} out"


def call_table(*, now: datetime) -> TableForm:
    """The table of calls."""
    return TableForm(
        (
            Column("NAME", "metadata.name"),
            Column("DOMAIN", "metadata.domain"),
            Column("SKILL", "spec.attribution.skill"),
            Column("MODEL", "spec.model"),
            Column("PROVIDER", "spec.provider"),
            Column("STATE", "status.state"),
            Column("COST", _call_cost),
            Column("TOKENS", _tokens),
            Column("AGE", lambda o: age_text(o["metadata"]["creationTimestamp"], now=now)),
            Column("OUTCOME", "status.outcome", wide=True),
            Column("USER", "spec.attribution.user", wide=True),
            Column("EXECUTION", "spec.attribution.execution", wide=True),
            Column("FINDINGS", lambda o: ",".join(o["status"]["findings"]), wide=True),
        )
    )


def call_sections(obj: Wire) -> list[Section]:
    """What `describe` shows of a call."""
    spec, status, who = obj["spec"], obj["status"], obj["spec"]["attribution"]
    about = (
        ("Kind", "Call"),
        ("Name", obj["metadata"]["name"]),
        ("Domain", who.get("domain", "")),
        ("Skill", who.get("skill", "")),
        ("Revision", who.get("revision", "")),
        ("Execution", who.get("execution", "")),
        ("User", who.get("user", "")),
        ("Trigger", who.get("trigger", "")),
        ("Cost center", who.get("costCenter", "")),
        ("Model", spec["model"]),
        ("Provider", spec["provider"]),
        ("Reserved", obj["metadata"]["creationTimestamp"]),
        ("Settled", status.get("settledAt", "")),
    )
    money = (
        ("State", f"{status['state']}: {_STATE_TEXTS[status['state']]}"),
        ("Outcome", status.get("outcome", "")),
        ("Hold", format_usd(spec["holdMicroUsd"])),
        ("Cost", f"{format_usd(status['costMicroUsd'])} by {status['costSource']}" if "costMicroUsd" in status else ""),
        ("The provider said", _usd(status.get("upstreamMicroUsd"))),
        ("The prices say", _usd(status.get("pricedMicroUsd"))),
        ("Tokens", _tokens(obj)),
        ("Findings", ", ".join(status["findings"])),
        ("Was in doubt", "yes" if status["wasInDoubt"] else ""),
    )
    route = tuple((name, _shown(value)) for name, value in spec["route"].items())
    return [Section("Call", _filled(about)), Section("Cost", _filled(money)), Section("Why it went there", route)]


_STATE_TEXTS: Final = {
    CallState.SETTLED: "its cost is booked",
    CallState.IN_DOUBT: "it may have gone out, and its hold is charged until it is reconciled",
    CallState.OPEN: "it is under way",
}


def _usd(micro_usd: int | None) -> str:
    return "" if micro_usd is None else format_usd(micro_usd)


def _filled(rows: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(row for row in rows if row[1])


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else text[:_MAX_SHOWN_CHARACTERS] + " …"


def cost_table(by: CostBy) -> TableForm:
    """The table of sums; the last row is the total."""
    return TableForm(
        (
            Column(by.upper().replace("-", " "), "name"),
            Column("CALLS", lambda o: str(o["calls"])),
            Column("INPUT TOKENS", lambda o: str(o["inputTokens"])),
            Column("OUTPUT TOKENS", lambda o: str(o["outputTokens"])),
            Column("COST", lambda o: format_usd(o["costMicroUsd"])),
            Column("IN DOUBT", _doubt),
        )
    )


def _doubt(one: Wire) -> str:
    return f"{format_usd(one['inDoubtMicroUsd'])} ({one['inDoubtCalls']} calls)" if one["inDoubtCalls"] else ""
