"""How authors write values: `30s`, `512MB`, `0.10`, `5%`, lists, maps; each form reads one YAML node."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from aspora.meta.names import quoted
from aspora.meta.quantities import parse_bp, parse_bytes, parse_milli, parse_seconds, parse_usd
from aspora.skills.yaml_nodes import Node, json_value

MAX_TEXT = 20_000
WHOLE_BP = 10_000


class WrongForm(ValueError):
    """A value that can't be read; knows the node to blame."""

    def __init__(self, node: Node, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.node = node
        self.path = path


@dataclass(frozen=True, slots=True)
class Form:
    """A way to write values.

    Attributes:
        name: For people: "duration", "list of text".
        example: A value as an author writes it.
        read: Gives the wire value, or raises `WrongForm`.
    """

    name: str
    example: str
    read: Callable[[Node], Any]


def _wrong(node: Node, what: str) -> NoReturn:
    found = repr(node.text[:80]) if node.kind == "scalar" else f"a {node.kind}"
    raise WrongForm(node, f"must be {what}, not {found}")


def read_text(node: Node) -> str:
    """Text, as written: `no`, `1.10` and `007` stay what they are."""
    if node.kind != "scalar":
        _wrong(node, "text")
    if len(node.text) > MAX_TEXT:
        raise WrongForm(node, f"has {len(node.text)} characters; at most {MAX_TEXT}")
    return node.text.strip()


def _optional_text(node: Node) -> str:
    return "" if node.is_null or node.text == "none" else read_text(node)


def _bool(node: Node) -> bool:
    value = json_value(node)
    if not isinstance(value, bool):
        _wrong(node, "true or false")
    return value


def _int(node: Node) -> int:
    value = json_value(node)
    if isinstance(value, bool) or not isinstance(value, int):
        _wrong(node, "a whole number")
    return value


def _quantity(parse: Callable[[object], int]) -> Callable[[Node], int]:
    def read(node: Node) -> int:
        if node.kind != "scalar":
            _wrong(node, "a single value")
        try:
            return parse(node.text)
        except ValueError as error:
            raise WrongForm(node, str(error)) from None

    return read


def _parse_milliseconds(value: object) -> int:
    text = str(value).strip()
    if text.endswith("ms") and text[:-2].strip().isdecimal():
        return int(text[:-2])
    number = text.removesuffix("s")
    try:
        ms = Decimal(number) * 1000
    except InvalidOperation:
        return parse_seconds(text) * 1000
    if not ms.is_finite() or ms < 0 or ms != ms.to_integral_value() or ms > 10**9:
        raise ValueError(f"{quoted(text)} is not a duration; write it like 800ms or 2s")
    return int(ms)


def _parse_percent(value: object) -> int:
    text = str(value).strip()
    share_bp = parse_bp(text if text.endswith("%") else f"{text}%", what="a percentage")
    if share_bp > WHOLE_BP:
        raise ValueError(f"{quoted(text)} is more than 100 %; write 0 to 100")
    return share_bp


def _parse_share(value: object) -> int:
    share_bp = parse_bp(value)
    if share_bp > WHOLE_BP:
        raise ValueError(f"{quoted(value)} is more than the whole; write a share such as 0.05 or 5%")
    return share_bp


def read_list(node: Node, read: Callable[[Node], Any], what: str) -> list[Any]:
    """A list whose items are read by `read`; errors name the item."""
    if node.is_null:
        return []
    if node.kind != "list":
        _wrong(node, f"a {what}")
    values: list[Any] = []
    for i, item in enumerate(node.items):
        try:
            values.append(read(item))
        except WrongForm as error:
            raise WrongForm(error.node, str(error), path=f"[{i}]{error.path}") from None
    return values


def _texts(node: Node) -> list[str]:
    return read_list(node, read_text, "list of text")


def _accesses(node: Node) -> list[dict[str, str]]:
    return read_list(node, _access, "list of names")


def _access(node: Node) -> dict[str, str]:
    """`trm`, `trm:read`, or a map with `name` and `access`."""
    if node.kind == "map":
        return {key: read_text(value) for key, _, value in node.entries()}
    name, _, access = read_text(node).partition(":")
    return {"name": name.strip(), **({"access": access.strip()} if access else {})}


def _filter(node: Node) -> str:
    """Text as it stands; a map becomes `key=value` terms with commas."""
    if node.kind == "map":
        return ",".join(f"{key}={read_text(value)}" for key, _, value in node.entries())
    return read_text(node)


def _json_map(node: Node) -> dict[str, Any]:
    if node.is_null:
        return {}
    if node.kind != "map":
        _wrong(node, "a map")
    return json_value(node)


TEXT = Form("text", "order-details", read_text)
OPTIONAL_TEXT = Form("text, or none", "gpt-4o-mini", _optional_text)
BOOL = Form("true or false", "true", _bool)
INT = Form("whole number", "4096", _int)
DURATION = Form("duration", "30s", _quantity(parse_seconds))
MILLISECONDS = Form("duration", "800ms", _quantity(_parse_milliseconds))
SIZE = Form("size", "512MB", _quantity(parse_bytes))
MILLI = Form("number", "0.5", _quantity(parse_milli))
USD = Form("US dollars", "0.10", _quantity(parse_usd))
SHARE = Form("share", "5%", _quantity(_parse_share))
PERCENT = Form("percentage", "10", _quantity(_parse_percent))
TEXTS = Form("list of text", "[a, b]", _texts)
ACCESSES = Form("list of names, each with :read or :write", "[trm:read]", _accesses)
FILTER = Form("text, or a map of text to text", "{severity: high}", _filter)
JSON_MAP = Form("map", "{date: today}", _json_map)
