"""The trace of an execution as a tree of lines: attempts, and under each what happened, with times from the start."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from aspora.cli.output import clean
from aspora.cli.result import cost_text, duration_text
from aspora.meta.quantities import format_usd

Wire = Mapping[str, Any]

_HIDDEN = frozenset({"message", "level", "durationMs", "costMicroUsd", "inputTokens", "outputTokens"})


def offset_text(since: str, at: str) -> str:
    """How long after `since` something happened, as `+12 ms`."""
    delta = datetime.fromisoformat(at) - datetime.fromisoformat(since)
    return "+" + duration_text(max(0.0, delta.total_seconds() * 1000))


def heading(execution: Wire) -> str:
    """The root of the tree."""
    metadata, spec, status = execution["metadata"], execution["spec"], execution["status"]
    reason = f" {status['reason']}" if status.get("reason") not in {None, "", status["state"]} else ""
    parts = [
        f"{metadata['name']}  {metadata['domain']}/{spec['skill']}",
        f"revision {spec['revision']}",
        f"{spec['class']}",
        f"{status['state']}{reason}",
    ]
    if status.get("durationMs") is not None:
        parts += [duration_text(status["durationMs"]), cost_text(status)]
    return " · ".join(parts)


def event_text(event: Wire) -> str:
    """What one event says, on one line: its type, its own words, its facts."""
    data: Wire = event.get("data") or {}
    parts = [f"{data['level']}" if event["type"] == "Log" and "level" in data else event["type"]]
    if data.get("message"):
        parts.append(_on_one_line(data["message"]))
    facts = [f"{k}={_on_one_line(v)}" for k, v in data.items() if k not in _HIDDEN and _is_fact(v)]
    facts += [f"{k}={_on_one_line(v)}" for k, v in (data.get("fields") or {}).items()]
    if "inputTokens" in data or "outputTokens" in data:
        facts.append(f"{data.get('inputTokens', 0)} tokens in, {data.get('outputTokens', 0)} out")
    if "costMicroUsd" in data:
        facts.append(format_usd(int(data["costMicroUsd"])))
    if data.get("durationMs") is not None:
        facts.append(duration_text(float(data["durationMs"])))
    return "  ".join([*parts, *facts])


def _on_one_line(value: Any) -> str:
    return clean(str(value)).rstrip("\n").replace("\n", " ⏎ ")


def _is_fact(value: Any) -> bool:
    return value not in ("", None) and not isinstance(value, (dict, list))


def event_lines(execution: Wire, event: Wire, *, branch: str) -> list[str]:
    """One event as a line of the tree; where a handler broke stands below it."""
    offset = offset_text(execution["metadata"]["creationTimestamp"], event["at"])
    trunk = "│" if branch.startswith("├") else " "
    details: Wire = (event.get("data") or {}).get("details") or {}
    below = clean(str(details.get("traceback") or "")).splitlines()
    return [f"{branch} {offset:>9}  {event_text(event)}", *(f"{trunk}{'':11}  {line}".rstrip() for line in below)]


def failure_lines(execution: Wire) -> list[str]:
    """What a failed execution says of itself."""
    status: Wire = execution["status"]
    if status["state"] == "Succeeded" or not status.get("message"):
        return []
    said = clean(str(status["message"])).splitlines()
    return [f"   {'because: ' if i == 0 else ' ' * 9}{line}" for i, line in enumerate(said)]


def tree(execution: Wire, events: Iterable[Wire]) -> list[str]:
    """The whole trace; events of a second attempt stand under a line that says so."""
    listed = sorted(events, key=lambda event: event["at"])
    lines, attempt = [heading(execution)], 0
    several = len({e.get("attempt") for e in listed if e.get("attempt")}) > 1
    for i, event in enumerate(listed):
        number = int(event.get("attempt") or 0)
        if several and number != attempt:
            lines.append(f"├─ attempt {number}")
        attempt = number
        lines += event_lines(execution, event, branch="└─" if i == len(listed) - 1 else "├─")
    stages: Wire = execution["status"].get("stages") or {}
    if stages:
        lines.append("   stages: " + " · ".join(f"{name} {duration_text(float(ms))}" for name, ms in stages.items()))
    return lines
