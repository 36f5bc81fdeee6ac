"""Where an order is, why it is late, and what comes next."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from outlook import ENDED, Outlook, look_ahead
from runbook import read_runbook

from aspora_sdk import SkillContext, SkillInput, SkillResult, skill_handler

ORDERS_PATH = "fixtures/orders.json"
RUNBOOK_PATH = "references/runbook.md"
ORDER_ID = re.compile(r"\bORD[-\s]?(\d{5})\b", re.IGNORECASE)
LIKE_AN_ID = re.compile(r"\b(?:ORD[-\s]?|order\s*(?:number|no\.?|#)?\s*)((?=\S*\d)[\w-]+)", re.IGNORECASE)
FORM = "an order number is ORD- and five digits, such as ORD-10234"
CUSTOMER_PREFIX = "CUST-"
MAX_ORDERS = 10
TOLD_EVENTS = 3


@skill_handler
async def handler(context: SkillContext) -> SkillResult:
    """Answer for the orders that were asked for, or for the caller's open ones."""
    whole = json.loads(await context.tools.read(ORDERS_PATH))
    runbook = read_runbook(await context.tools.read(RUNBOOK_PATH))
    as_of = datetime.fromisoformat(whole["as_of"])
    visible = {order["id"]: order for order in whole["orders"] if _may_see(context.input.user_id, order)}
    wanted, malformed = _asked(context.input)
    if not wanted and not malformed:
        wanted = _open_orders(context.input.user_id, visible)
        if not wanted:
            message = f"Which order is it? Please give its number: {FORM}."
            return SkillResult(False, message, {"reason": "no_order_asked", "orders": []}, 1.0)
    found = {order_id: look_ahead(visible[order_id], runbook, as_of) for order_id in wanted if order_id in visible}
    unknown = [order_id for order_id in wanted if order_id not in visible]
    context.log.info("orders looked up", found=len(found), unknown=len(unknown), malformed=len(malformed))
    data: dict[str, Any] = {
        "as_of": whole["as_of"],
        "sample_data": whole["label"],
        "orders": [_order_data(visible[order_id], outlook) for order_id, outlook in found.items()],
        "unknown": unknown,
        "malformed": malformed,
    }
    if not found:
        data["reason"] = "unknown_order" if unknown else "malformed_order_id"
    message = " ".join(
        [
            *(_sentence(visible[order_id], outlook) for order_id, outlook in found.items()),
            *(f"There is no order {order_id} for you; please check the number." for order_id in unknown),
            *(f"{text!r} is not an order number: {FORM}." for text in malformed),
        ]
    )
    confidence = min((outlook.confidence for outlook in found.values()), default=1.0)
    return SkillResult(bool(found), message, data, confidence)


def _may_see(user_id: str, order: Mapping[str, Any]) -> bool:
    """Customers see their own orders; other callers are staff."""
    return not user_id.startswith(CUSTOMER_PREFIX) or order["customer_id"] == user_id


def _asked(given: SkillInput) -> tuple[list[str], list[str]]:
    """Order ids, in the order they were named and each once; and texts that were meant as ids."""
    explicit = given.metadata.get("order_id")
    if explicit is None:
        texts = [given.user_message]
    else:
        texts = [str(item) for item in (explicit if isinstance(explicit, list) else [explicit])]
    wanted = [f"ORD-{digits}" for text in texts for digits in ORDER_ID.findall(text)]
    malformed = [item for text in texts for item in _malformed(text, bare=explicit is not None)]
    return list(dict.fromkeys(wanted))[:MAX_ORDERS], list(dict.fromkeys(malformed))[:MAX_ORDERS]


def _malformed(text: str, *, bare: bool) -> list[str]:
    """Pieces that look like an order number and are none; a bare text (metadata) is always meant as one."""
    rest = ORDER_ID.sub(" ", text)
    if bare:
        return [text.strip()] if ORDER_ID.fullmatch(text.strip()) is None else []
    return [match[0].strip() for match in LIKE_AN_ID.finditer(rest)]


def _open_orders(user_id: str, visible: Mapping[str, Mapping[str, Any]]) -> list[str]:
    if not user_id.startswith(CUSTOMER_PREFIX):
        return []
    return [order_id for order_id, order in visible.items() if order["status"] not in ENDED][:MAX_ORDERS]


def _order_data(order: Mapping[str, Any], outlook: Outlook) -> dict[str, Any]:
    return {
        "id": order["id"],
        "status": order["status"],
        "service": order["service"],
        "tracking": order["tracking"],
        "items": order["items"],
        "timeline": order["timeline"],
        "promised_by": order["promised_by"],
        "eta": outlook.eta.isoformat() if outlook.eta else None,
        "late_days": outlook.late_days,
        "delay": order["delay"] and {**order["delay"], "explanation": outlook.delay, "escalate": outlook.escalate},
        "next_step": outlook.next_step,
    }


def _sentence(order: Mapping[str, Any], outlook: Outlook) -> str:
    events = ", ".join(
        f"{event['event'].replace('_', ' ')} {event['at'][:10]}" for event in order["timeline"][-TOLD_EVENTS:]
    )
    parts = [f"{order['id']}: {outlook.status_words} ({events})."]
    if outlook.delay:
        parts.append(f"It is delayed because {outlook.delay} (since {order['delay']['since']}).")
    if outlook.eta:
        parts.append(
            f"We expect it on {outlook.eta.isoformat()}, {_promise(outlook.late_days or 0, order['promised_by'])}."
        )
    parts.append(f"Next: {outlook.next_step}.")
    if outlook.escalate:
        parts.append("The delay has lasted too long: hand it to a lead.")
    return " ".join(parts)


def _promise(late_days: int, promised_by: str) -> str:
    if late_days <= 0:
        return f"in time for the promised {promised_by}"
    return f"{late_days} day{'s' if late_days > 1 else ''} after the promised {promised_by}"
