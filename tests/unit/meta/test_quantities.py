from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aspora.meta.quantities import format_usd, parse_bp, parse_bytes, parse_milli, parse_seconds, parse_usd


@pytest.mark.parametrize(
    ("parse", "written", "expected"),
    [
        (parse_usd, 0.10, 100_000),
        (parse_usd, "0.000001", 1),
        (parse_usd, 0, 0),
        (parse_milli, 0.7, 700),
        (parse_milli, "0.5", 500),
        (parse_bp, 0.05, 500),
        (parse_bp, "5%", 500),
        (parse_bp, 1, 10_000),
        (parse_seconds, "30s", 30),
        (parse_seconds, "2m", 120),
        (parse_seconds, "1.5h", 5400),
        (parse_seconds, 45, 45),
        (parse_bytes, "512MB", 512_000_000),
        (parse_bytes, "1GiB", 2**30),
        (parse_bytes, "1048576", 2**20),
    ],
)
def test_what_authors_write(parse, written, expected) -> None:  # pyright: ignore
    assert parse(written) == expected


@pytest.mark.parametrize(
    ("parse", "written"),
    [
        (parse_usd, "0.0000001"),
        (parse_usd, float("nan")),
        (parse_usd, -1),
        (parse_usd, True),
        (parse_usd, "ten"),
        (parse_usd, 10**30),
        (parse_usd, None),
        (parse_seconds, "30 parsecs"),
        (parse_seconds, "1500ms"),
        (parse_seconds, True),
        (parse_bytes, "lots"),
        (parse_bytes, "0.5B"),
        (parse_bp, "0.000001"),
    ],
)
def test_refused_with_an_example(parse, written) -> None:  # pyright: ignore
    with pytest.raises(ValueError, match=r"write it like|whole number"):
        parse(written)


@given(st.integers(min_value=0, max_value=2**53))
def test_money_survives_printing(micro_usd: int) -> None:
    text = format_usd(micro_usd)
    assert text.startswith("$")
    assert len(text.partition(".")[2]) >= 2
    assert parse_usd(Decimal(text[1:]).to_eng_string()) == micro_usd
