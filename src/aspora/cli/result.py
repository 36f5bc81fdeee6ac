"""One execution for people: what came out, what it cost, how long it took, where to look further."""

from collections.abc import Mapping
from typing import Any

from aspora.cli.output import Output, clean, data_rows, pairs
from aspora.meta.quantities import format_usd

Wire = Mapping[str, Any]

STATE_STYLES = {"Succeeded": "green", "Failed": "red", "Cancelled": "yellow", "Running": "cyan", "Pending": "cyan"}


def duration_text(milliseconds: float | None) -> str:
    """`62 ms`, `3.4 s`, `2m5s`; "" when not known."""
    if milliseconds is None:
        return ""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"
    seconds = milliseconds / 1000
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)}m{int(seconds % 60)}s"


def cost_text(status: Wire) -> str:
    """`$0.0042`, with tokens when a model was called."""
    cost = format_usd(int(status.get("costMicroUsd") or 0))
    tokens = (status.get("inputTokens") or 0, status.get("outputTokens") or 0)
    return f"{cost} ({tokens[0]} tokens in, {tokens[1]} out)" if any(tokens) else cost


def succeeded(execution: Wire) -> bool:
    """Whether the execution ended well and the skill itself says so."""
    status = execution["status"]
    return status["state"] == "Succeeded" and bool((status.get("result") or {}).get("success", True))


def print_execution(out: Output, execution: Wire, *, recorded: bool = True, place: str = "") -> None:
    """The result first, then the facts, then where its trace is."""
    status, spec, metadata = execution["status"], execution["spec"], execution["metadata"]
    result: Wire = status.get("result") or {}
    message = result.get("message") or status.get("message") or ""
    state = str(status["state"])
    if message:
        out.line(clean(str(message)).rstrip())
    rows = data_rows(result.get("data") or {})
    if rows:
        out.line()
        for text in pairs(rows, indent=2):
            out.line(text)
    out.line()
    reason = f" ({status['reason']})" if status.get("reason") not in {None, "", state} else ""
    if state == "Succeeded" and not succeeded(execution):
        reason = " (the skill says that it could not: success is false)"
    facts = [("State", state + reason), ("Revision", spec.get("revision", "")), ("Class", spec.get("class", ""))]
    if result.get("confidence") is not None:
        facts.append(("Confidence", f"{result['confidence']:g}"))
    facts += [("Cost", cost_text(status)), ("Time", duration_text(status.get("durationMs")))]
    facts.append(("Trace", f"aspora logs {metadata['name']}{place}" if recorded else "below; not recorded"))
    for text in pairs(facts):
        out.line(out.style(text, STATE_STYLES.get(state, "bold")) if text.startswith("State:") else text)
