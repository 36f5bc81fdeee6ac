"""Executions and nodes as tables and descriptions."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from aspora.apis.kind import Column, Section
from aspora.gateway.tables import TableForm, description, object_columns
from aspora.meta.errors import API_VERSION, BadRequest
from aspora.meta.quantities import format_usd

Wire = Mapping[str, Any]
_MAX_SHOWN_CHARACTERS: Final = 2000
_EFFECT_STATES: Final = {"intent": "begun", "done": "done", "in_doubt": "in doubt: not known whether it took effect"}


def _state(obj: Wire) -> str:
    status = obj["status"]
    reason = status.get("reason", "")
    return status["state"] + (f" ({reason})" if reason and reason != status["state"] else "")


def _duration(obj: Wire) -> str:
    duration_ms = obj["status"].get("durationMs")
    if duration_ms is None:
        return ""
    return f"{duration_ms:.0f}ms" if duration_ms < 1000 else f"{duration_ms / 1000:.1f}s"


EXECUTION_COLUMNS: Final = (
    Column("SKILL", "spec.skill"),
    Column("STATE", _state),
    Column("CLASS", "spec.class"),
    Column("TIME", _duration),
    Column("COST", lambda o: format_usd(o["status"]["costMicroUsd"])),
    Column("REVISION", "spec.revision", wide=True),
    Column("ATTEMPT", "status.attempt", wide=True),
    Column("NODE", "status.node", wide=True),
    Column("CALLER", "spec.caller", wide=True),
)

NODE_COLUMNS: Final = (
    Column("ROLE", "spec.role"),
    Column("STATE", "status.state"),
    Column("CLASSES", lambda o: ",".join(o["status"]["classes"])),
    Column("HOST", "spec.host", wide=True),
    Column("PID", "spec.pid", wide=True),
    Column("VERSION", "spec.version", wide=True),
)


def table_of(columns: Sequence[Column], *, with_domain: bool, now: datetime) -> TableForm:
    """The table of one sort of record."""
    return object_columns(columns, with_domain=with_domain, now=lambda: now)


def list_form(
    items: Sequence[Wire],
    form: str,
    *,
    kind: str,
    columns: Sequence[Column],
    with_domain: bool,
    continue_token: str | None,
    now: datetime,
) -> Wire:
    """A page of records in the form asked for."""
    metadata = {"continue": continue_token} if continue_token else {}
    if form == "Table":
        return table_of(columns, with_domain=with_domain, now=now).table(items, metadata=metadata)
    if form == "Description":
        raise BadRequest("a list has no Description; ask for one record, or for as=Table")
    return {"apiVersion": API_VERSION, "kind": f"{kind}List", "metadata": metadata, "items": list(items)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What was recorded of an execution beside its row: for its description.

    Attributes:
        takeovers: The events of attempts that were given up or lost, in their order.
    """

    model_calls: Sequence[Wire] = ()
    effects: Sequence[Wire] = ()
    takeovers: Sequence[Wire] = ()


def execution_form(obj: Wire, form: str, *, details: Details, now: datetime) -> Wire:
    """One execution in the form asked for."""
    if form == "Table":
        return table_of(EXECUTION_COLUMNS, with_domain=False, now=now).table([obj], metadata={})
    return description(execution_sections(obj, details)) if form == "Description" else obj


def node_form(obj: Wire, form: str, *, now: datetime) -> Wire:
    """One node in the form asked for."""
    if form == "Table":
        return table_of(NODE_COLUMNS, with_domain=False, now=now).table([obj], metadata={})
    return description(node_sections(obj)) if form == "Description" else obj


def execution_sections(obj: Wire, details: Details) -> list[Section]:
    """What `describe` shows of an execution."""
    spec, status = obj["spec"], obj["status"]
    about = (
        ("Kind", "Execution"),
        ("Name", obj["metadata"]["name"]),
        ("Domain", obj["metadata"]["domain"]),
        ("Skill", spec["skill"]),
        ("Revision", spec["revision"]),
        ("Environment", spec["environment"]),
        ("Class", spec["class"]),
        ("Caller", spec["caller"]),
        ("Created", obj["metadata"]["creationTimestamp"]),
        ("Deadline", spec["deadline"]),
    )
    state = (
        ("State", _state(obj)),
        ("Message", status.get("message", "")),
        ("Node", status.get("node", "")),
        ("Attempt", str(status["attempt"])),
        ("Driver", status.get("driver", "")),
        ("Started", status.get("startedAt", "")),
        ("Finished", status.get("finishedAt", "")),
        ("Time", _duration(obj)),
        ("Cost", format_usd(status["costMicroUsd"])),
        ("Tokens", f"{status['inputTokens']} in, {status['outputTokens']} out"),
    )
    return [
        Section("Execution", about),
        Section("Input", _value_rows(spec.get("input"), spec.get("inputRef"))),
        Section("State", tuple((label, text) for label, text in state if text)),
        Section("Result", _value_rows(status.get("result"), status.get("resultRef"))),
        Section("Stages", tuple((name, f"{ms:g} ms") for name, ms in status["stages"].items())),
        Section("Earlier attempts", tuple(_takeover_row(event) for event in details.takeovers)),
        Section("Effects", tuple(_effect_row(i, effect) for i, effect in enumerate(details.effects, start=1))),
        Section("Model calls", tuple(_model_call_row(i, call) for i, call in enumerate(details.model_calls, start=1))),
        Section("Trace", (("Events", f"aspora logs {obj['metadata']['name']}"),)),
    ]


def _value_rows(value: Wire | None, reference: str | None) -> tuple[tuple[str, str], ...]:
    if value is None:
        return (("Stored as", reference),) if reference else ()
    return tuple((key, _shown(part)) for key, part in value.items())


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else text[:_MAX_SHOWN_CHARACTERS] + " …"


def _model_call_row(number: int, call: Wire) -> tuple[str, str]:
    cost = "cost unknown" if call["cost_micro_usd"] is None else format_usd(call["cost_micro_usd"])
    tokens = f"{call['input_tokens'] or 0} in, {call['output_tokens'] or 0} out"
    detail = f"{call['upstream']}  {call['outcome']}  {tokens}  {cost} ({call['cost_source']})"
    of_no_use = "  by an attempt that was fenced" if call["fenced"] else ""
    return f"{number} {call['alias']}", f"{detail}  {call['duration_ms']:.0f} ms{of_no_use}"


def _takeover_row(event: Wire) -> tuple[str, str]:
    data = event["data"]
    return f"Attempt {event['attempt']}", f"{event['at']}  {event['type']} ({data['reason']}): {data['message']}"


def _effect_row(number: int, effect: Wire) -> tuple[str, str]:
    failure = effect["failure"]
    came_to = f"refused ({failure['reason']})" if failure else _EFFECT_STATES[effect["state"]]
    kind = ("write with a key" if effect["idempotent"] else "write") if effect["is_write"] else "read"
    name = f"{effect['connector']}.{effect['operation']}"
    return f"{number} {name}", f"{kind}  {came_to}  attempt {effect['attempt']}"


def node_sections(obj: Wire) -> list[Section]:
    """What `describe` shows of a node."""
    spec, status = obj["spec"], obj["status"]
    rows = (
        ("Kind", "Node"),
        ("Name", obj["metadata"]["name"]),
        ("Role", spec["role"]),
        ("State", status["state"]),
        ("Takes", ", ".join(status["classes"]) or "nothing yet"),
        ("Host", spec["host"]),
        ("Process", str(spec["pid"])),
        ("Version", spec["version"]),
        ("Epoch", str(status["epoch"])),
        ("Started", obj["metadata"]["creationTimestamp"]),
        ("Lease until", status["leaseExpiresAt"]),
        ("Stopped", status.get("stoppedAt", "")),
    )
    return [Section("Node", tuple((label, text) for label, text in rows if text))]
