"""Money as an integer of minor units in a currency; no floats anywhere."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Source: ISO 4217, list one (active codes), and the historic codes that ECB reference rates contain.
CURRENCIES_BY_DECIMALS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    2: """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE
CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW
KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK
PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS
UAH USD UYU UZS VES WST XCD XCG YER ZAR ZMW ZWG
CYP EEK HRK LTL LVL MTL ROL SIT SKK TRL
""",
    3: "BHD IQD JOD KWD LYD OMR TND",
}
DECIMALS_BY_CURRENCY = {code: decimals for decimals, codes in CURRENCIES_BY_DECIMALS.items() for code in codes.split()}

MAX_MAJOR_DIGITS = 15
GROUP_MARKS = " \u00a0\u202f\u2009'\u2019"
SUFFIX_FACTORS = {"k": 3, "m": 6}
NUMBER = re.compile(r"(?P<sign>[+-]?)(?P<digits>\d[\d.,]*)(?P<suffix>[km]?)", re.IGNORECASE)


class MoneyError(ValueError):
    """An amount or a currency that is none; the message is fit for a user."""


def decimals_of(currency: str) -> int:
    """How many decimals a currency's minor unit has: 2 for EUR, 0 for JPY, 3 for KWD.

    Raises:
        MoneyError: Not an ISO 4217 code.
    """
    if currency not in DECIMALS_BY_CURRENCY:
        raise MoneyError(f"unknown currency {currency!r}; use a three-letter ISO code such as EUR, GBP or INR")
    return DECIMALS_BY_CURRENCY[currency]


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of one currency.

    Args:
        minor: In the minor unit: 1050 is 10.50 EUR, or 1050 JPY. May be negative.
        currency: ISO 4217 code, upper case.

    Raises:
        MoneyError: Unknown currency.
    """

    minor: int
    currency: str

    def __post_init__(self) -> None:
        decimals_of(self.currency)
        if not isinstance(self.minor, int) or isinstance(self.minor, bool):
            raise TypeError(f"Money takes a whole number of minor units, not {self.minor!r}")

    @classmethod
    def parse(cls, text: str | int | float, currency: str) -> Money:
        """Read an amount of major units as people write it: `10 000`, `2,500.50`, `2.500,50`, `1,00,000`, `10k`.

        Raises:
            MoneyError: Not a number, ambiguous (`2.500`), too large, or finer than the currency's minor unit.
        """
        decimals = decimals_of(currency)
        digits, scale = _digits_and_scale(str(text).strip(), as_number=not isinstance(text, str))
        if scale > decimals and digits % 10 ** (scale - decimals):
            unit = f"{decimals} decimals" if decimals else "no decimals"
            raise MoneyError(f"{str(text)!r} is finer than {currency} allows, which has {unit}")
        minor = digits * 10**decimals // 10**scale
        if abs(minor) >= 10 ** (MAX_MAJOR_DIGITS + decimals):
            raise MoneyError(f"{str(text)!r} is too large; the most is {MAX_MAJOR_DIGITS} digits")
        return cls(minor, currency)

    def __add__(self, other: Money) -> Money:
        return Money(self.minor + self._same(other).minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.minor - self._same(other).minor, self.currency)

    def __mul__(self, count: int) -> Money:
        return Money(self.minor * count, self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.minor < self._same(other).minor

    def __le__(self, other: Money) -> bool:
        return self.minor <= self._same(other).minor

    def _same(self, other: Money) -> Money:
        if self.currency != other.currency:
            raise MoneyError(f"{self.currency} and {other.currency} cannot be combined without an exchange rate")
        return other

    def exchanged(self, numerator: int, denominator: int, currency: str) -> Money:
        """This amount at a rate of numerator/denominator units of `currency` for one of ours, rounded half to even."""
        top = self.minor * numerator * 10 ** decimals_of(currency)
        return Money(divide_half_even(top, denominator * 10 ** decimals_of(self.currency)), currency)

    def __str__(self) -> str:
        decimals = decimals_of(self.currency)
        major, rest = divmod(abs(self.minor), 10**decimals)
        fraction = f".{rest:0{decimals}d}" if decimals else ""
        return f"{'-' if self.minor < 0 else ''}{major:,}{fraction} {self.currency}"

    def as_data(self) -> dict[str, object]:
        """For a result's data: exact minor units, the currency, and the text a person reads."""
        return {"minor": self.minor, "currency": self.currency, "text": str(self)}


def divide_half_even(numerator: int, denominator: int) -> int:
    """The whole number nearest to numerator/denominator; a tie goes to the even one. The denominator is positive."""
    quotient, rest = divmod(numerator, denominator)
    above = 2 * rest - denominator
    return quotient + (1 if above > 0 or (above == 0 and quotient % 2) else 0)


def _digits_and_scale(text: str, *, as_number: bool) -> tuple[int, int]:
    """`12.50` as (1250, 2). A JSON number's point is always the decimal one."""
    compact = re.sub(rf"(?<=\d)[{GROUP_MARKS}](?=\d{{3}}(?!\d))", "", text)
    match = NUMBER.fullmatch(compact)
    if match is None:
        raise MoneyError(f"{text!r} is not an amount; write it like 2500, 2,500.50 or 10k")
    suffix = match["suffix"].lower()
    exact = as_number or bool(suffix)
    whole, fraction = _split(match["digits"], text, exact=exact)
    digits = int(whole + fraction) * (-1 if match["sign"] == "-" else 1)
    return digits * 10 ** SUFFIX_FACTORS.get(suffix, 0), len(fraction)


def _split(number: str, text: str, *, exact: bool) -> tuple[str, str]:
    """Tell grouping marks from the decimal mark; the last mark is the decimal one unless it groups thousands."""
    marks = [mark for mark in number if mark in ",."]
    if not marks:
        return number, ""
    decimal_mark = marks[-1]
    whole, _, fraction = number.rpartition(decimal_mark)
    if decimal_mark in marks[:-1] or (decimal_mark == "," and len(marks) == 1 and len(fraction) == 3 and not exact):
        whole, fraction, grouping = number, "", decimal_mark
    elif len(marks) == 1 and len(fraction) == 3 and whole != "0" and not exact:
        raise MoneyError(f"{text!r} could mean {whole}{fraction} or {whole}.{fraction[:2]}; write one of these")
    else:
        grouping = "." if decimal_mark == "," else ","
    groups = whole.split(grouping)
    if not _grouped(groups):
        raise MoneyError(f"{text!r} is not an amount; write it like 2500, 2,500.50 or 10k")
    return "".join(groups), fraction


def _grouped(groups: list[str]) -> bool:
    """Thousands (1,234,567), or lakhs and crores (12,34,567)."""
    if not all(group.isdecimal() for group in groups):
        return False
    first, *middle, last = groups if len(groups) > 1 else [groups[0], "000"]
    sizes = {len(group) for group in middle}
    return len(groups) == 1 or (len(first) <= 3 and len(last) == 3 and (sizes <= {3} or sizes <= {2}))
