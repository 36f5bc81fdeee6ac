"""What authors write ("0.10" USD, "30s", "512MB", "0.5" cpu) as the exact integers objects hold, without floats."""

import re
from decimal import Decimal, InvalidOperation

from aspora.meta.names import quoted

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?")
_SECONDS = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
    None: Decimal(1),
}
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KB|MB|GB|KiB|MiB|GiB|Ki|Mi|Gi)?")
_BYTES = {
    None: 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30,
}  # fmt: skip


def _scaled(text: object, *, scale: int, what: str, example: str) -> int:
    """`text` times `scale`, exactly, refusing NaN, negatives and digits below the unit."""
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        raise ValueError(f"{quoted(text)} is not {what}; write it like {example}")
    try:
        value = Decimal(str(text).strip())
    except InvalidOperation:
        raise ValueError(f"{quoted(text)} is not {what}; write it like {example}") from None
    if not value.is_finite() or value < 0:
        raise ValueError(f"{quoted(text)} is not {what}: it must be zero or more; write it like {example}")
    scaled = value * scale
    if scaled != scaled.to_integral_value() or scaled > 2**53:
        raise ValueError(f"{quoted(text)} is finer or larger than {what} can be; write it like {example}")
    return int(scaled)


def parse_usd(value: object) -> int:
    """US dollars (`0.10`, `"0.10"`) as integer micro-USD."""
    return _scaled(value, scale=1_000_000, what="an amount in USD", example="0.10")


def parse_milli(value: object, *, what: str = "a number") -> int:
    """A number with up to three decimals (`0.5` cpu, `0.7` temperature) as integer thousandths."""
    return _scaled(value, scale=1000, what=what, example="0.5")


def parse_bp(value: object, *, what: str = "a share") -> int:
    """A share: `0.05` (a ratio) or `"5%"` as basis points (1/10 000)."""
    if isinstance(value, str) and value.strip().endswith("%"):
        return _scaled(value.strip()[:-1], scale=100, what=what, example="5%")
    return _scaled(value, scale=10_000, what=what, example="0.05 or 5%")


def parse_seconds(value: object) -> int:
    """A duration (`30s`, `2m`, `1h`, `45`) as whole seconds."""
    match = None if isinstance(value, bool) else _DURATION.fullmatch(str(value).strip())
    if match is None:
        raise ValueError(f"{quoted(value)} is not a duration; write it like 30s, 2m or 1h")
    seconds = Decimal(match[1]) * _SECONDS[match[2]]
    if seconds != seconds.to_integral_value() or seconds > 10**9:
        raise ValueError(f"{quoted(value)} is not a whole number of seconds; write it like 30s, 2m or 1h")
    return int(seconds)


def parse_bytes(value: object) -> int:
    """A size (`512MB`, `1Gi`, `1048576`) as bytes; KB, MB, GB are decimal, Ki, Mi, Gi binary."""
    match = None if isinstance(value, bool) else _MEMORY.fullmatch(str(value).strip())
    if match is None:
        raise ValueError(f"{quoted(value)} is not a size; write it like 512MB or 1GiB")
    size = Decimal(match[1]) * _BYTES[match[2]]
    if size != size.to_integral_value() or size > 2**53:
        raise ValueError(f"{quoted(value)} is not a whole number of bytes; write it like 512MB or 1GiB")
    return int(size)


def format_usd(micro_usd: int) -> str:
    """Micro-USD for people: `$0.0042`, at least two decimals, no more than six, trailing zeros dropped."""
    text = f"{Decimal(micro_usd) / 1_000_000:.6f}"
    whole, _, cents = text.partition(".")
    return f"${whole}.{cents.rstrip('0').ljust(2, '0')}"
