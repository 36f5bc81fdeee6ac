"""The published form of budgets, calls and costs. Money is in whole micro-USD everywhere."""

from collections.abc import Mapping
from typing import Any, Final

from aspora.gateway.contract import QUERY_TEXT, Answer, Contract, Schema, reference
from aspora.ledger.costs import MOST_MICRO_USD
from aspora.ledger.interface import CallState, CostBy, CostSource, ScopeKind, Unit, Window
from aspora.meta.errors import API_VERSION

MAX_LIMIT: Final = 1000
DEFAULT_LIMIT: Final = 100

_TEXT: Schema = {"type": "string"}
_INSTANT: Schema = {"type": "string", "format": "date-time"}
_AMOUNT: Schema = {"type": "integer"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_LIMIT: Schema = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
_CONTINUE: Schema = {**QUERY_TEXT, "description": "From the page before."}
_DOMAIN: Schema = {**QUERY_TEXT, "description": "Only what belongs to this domain."}


def _said(description: str, schema: Schema = _TEXT) -> Schema:
    return {**schema, "description": description}


def _record(required: str, /, **properties: Schema) -> dict[str, Any]:
    return {"type": "object", "required": required.split(), "properties": properties}


def _said_record(description: str, required: str, /, **properties: Schema) -> Schema:
    return _said(description, _record(required, **properties))


def _kind(name: str, **parts: Schema) -> Schema:
    heads: dict[str, Schema] = {
        "apiVersion": _said("Version of the form.", {"const": API_VERSION}),
        "kind": _said("What it is.", {"const": name}),
    }
    return _record(" ".join([*heads, *parts]), **heads, **parts)


def _list_of(name: str) -> Schema:
    metadata = _record("", **{"continue": _TEXT})
    return _kind(f"{name}List", metadata=metadata, items={"type": "array", "items": reference(name)})


_METADATA = _said(
    "What it is known by.",
    _record(
        "name creationTimestamp",
        name=_said("Its id."),
        domain=_said("The domain that it belongs to; absent for the platform's."),
        creationTimestamp=_said("When it was first used.", _INSTANT),
    ),
)
_COST_SUM = _record(
    "name calls costMicroUsd inDoubtCalls inDoubtMicroUsd inputTokens outputTokens",
    name={**_TEXT, "description": '"" for calls that have none, and for the total.'},
    calls=_COUNT,
    costMicroUsd={**_COUNT, "description": "Of calls that are settled."},
    inDoubtCalls=_COUNT,
    inDoubtMicroUsd={**_COUNT, "description": "Of calls in doubt, at their holds; not in costMicroUsd."},
    inputTokens=_COUNT,
    outputTokens=_COUNT,
)

_ATTRIBUTION: Final[Mapping[str, Schema]] = {
    "domain": _said("The domain."),
    "skill": _said("The skill in it."),
    "revision": _said("The skill's revision."),
    "execution": _said("The execution's id."),
    "user": _said("Who asked."),
    "trigger": _said("What started it."),
    "costCenter": _said("The domain's cost center."),
}

SCHEMAS: Final[Mapping[str, Schema]] = {
    "Budget": _kind(
        "Budget",
        metadata=_METADATA,
        spec=_said_record(
            "What is counted, and the cap.",
            "scope window windowStart unit",
            scope=_said(
                "Whose it is.",
                _record(
                    "kind name",
                    kind=_said("Of what kind.", {"enum": list(ScopeKind)}),
                    name=_said("Which one; a skill's is `domain/skill`."),
                ),
            ),
            window=_said("For how long its cap holds.", {"enum": list(Window)}),
            windowStart=_said("When it began, UTC.", _INSTANT),
            resetsAt={**_INSTANT, "description": "Absent for an execution's."},
            unit={"enum": list(Unit), "description": "Of all amounts."},
            cap={**_COUNT, "description": "Absent: none."},
        ),
        status=_said_record(
            "How it stands.",
            "state spent leased inDoubt overrun",
            state=_said(
                "Throttled: 95 % are used, one call a second passes.", {"enum": ["Open", "Throttled", "Paused"]}
            ),
            reason={"enum": ["Cap", "Overrun"], "description": "Why it is paused."},
            spent={**_AMOUNT, "description": "Those in doubt at their full hold, less what a reset forgave."},
            leased={**_AMOUNT, "description": "Held for calls under way and to come."},
            inDoubt={**_AMOUNT, "description": "The part of what was spent that waits to be reconciled."},
            overrun={**_AMOUNT, "description": "By how much calls went over their holds."},
            usedPercent={"type": "integer", "description": "Of the cap, rounded down; absent without one."},
        ),
    ),
    "BudgetList": _list_of("Budget"),
    "BudgetChange": {
        "type": "object",
        "additionalProperties": False,
        "required": ["cap"],
        "properties": {
            "cap": {
                "type": ["integer", "null"],
                "minimum": 0,
                "maximum": MOST_MICRO_USD,
                "description": "In the budget's unit; null for none.",
            }
        },
    },
    "Call": _kind(
        "Call",
        metadata=_METADATA,
        spec=_said_record(
            "What was asked for.",
            "model provider holdMicroUsd attribution route",
            model=_said("Alias of the model that answered, or was asked for."),
            provider=_said("Who answered, or was asked."),
            holdMicroUsd={**_COUNT, "description": "The most that it could cost."},
            attribution=_said("To whom it is charged in reports.", _record("", **_ATTRIBUTION)),
            route={"type": "object", "description": "Why it went there."},
        ),
        status=_said_record(
            "What came of it.",
            "state wasInDoubt findings",
            state={"enum": list(CallState), "description": "InDoubt: charged at its hold until it is reconciled."},
            wasInDoubt=_said("Whether it was charged at its hold before.", {"type": "boolean"}),
            settledAt=_said("When its cost was booked.", _INSTANT),
            outcome={**_TEXT, "description": "`ok`, or what went wrong."},
            costMicroUsd={**_COUNT, "description": "As booked; absent until it is settled."},
            costSource={"enum": [source.value for source in CostSource], "description": "By which rule."},
            upstreamMicroUsd={**_COUNT, "description": "What the provider said."},
            pricedMicroUsd={**_COUNT, "description": "What the prices say."},
            inputTokens=_said("As the provider counted them.", _COUNT),
            outputTokens=_said("Likewise.", _COUNT),
            findings=_said("What is odd about its cost: `CostDrift`, `Overrun` …", {"type": "array", "items": _TEXT}),
        ),
    ),
    "CallList": _list_of("Call"),
    "CostSum": _COST_SUM,
    "CostReport": _kind(
        "CostReport",
        by={"enum": list(CostBy)},
        since=_INSTANT,
        total=reference("CostSum"),
        items={"type": "array", "items": reference("CostSum"), "description": "The dearest first."},
    ),
}
"""By name, as `/openapi.json` has them."""

LIST_BUDGETS: Final = Contract(
    query={
        "scope": {"enum": list(ScopeKind), "description": "Only such; executions' are shown only so."},
        "limit": _LIMIT,
        "continue": _CONTINUE,
    },
    answers={200: Answer("A page of the windows that are open now.", "BudgetList")},
    schemas=SCHEMAS,
)
GET_BUDGET: Final = Contract(answers={200: Answer("The budget.", "Budget")}, schemas=SCHEMAS)
SET_BUDGET: Final = Contract(body="BudgetChange", answers={200: Answer("With its new cap.", "Budget")}, schemas=SCHEMAS)
RESET_BUDGET: Final = Contract(
    answers={200: Answer("What it has spent is forgiven.", "Budget")},
    schemas=SCHEMAS,
)
_STATES = "|".join(CallState)
LIST_CALLS: Final = Contract(
    query={
        "skill": {**QUERY_TEXT, "description": "Of this skill alone."},
        "state": {
            "type": "string",
            "pattern": f"^({_STATES})(,({_STATES}))*$",
            "description": "Some states, with commas between.",
        },
        "since": {**_INSTANT, "description": "Reserved at this instant or later."},
        "limit": _LIMIT,
        "continue": _CONTINUE,
    },
    answers={200: Answer("A page, newest first.", "CallList")},
    schemas=SCHEMAS,
)
GET_CALL: Final = Contract(answers={200: Answer("The call.", "Call")}, schemas=SCHEMAS)
COSTS: Final = Contract(
    query={
        "by": {"enum": list(CostBy), "default": CostBy.DOMAIN.value, "description": "What is summed up together."},
        "since": {**_INSTANT, "description": "Only calls reserved then or later; absent: of the last 7 days."},
        "domain": _DOMAIN,
        "limit": _LIMIT,
    },
    answers={200: Answer("The sums.", "CostReport")},
    schemas=SCHEMAS,
)
