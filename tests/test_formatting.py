"""Numbers are formatted briefly, with four significant digits."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcade.formatting import format_count, format_number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (math.nan, "-"),
        (-13.0, "-13"),
        (0.0, "0"),
        (-0.0, "0"),
        (0.045321, "0.04532"),
        (12345.6, "12,345.6"),
        (1e-5, "1.000e-05"),
        (-2.5e9, "-2.500e+09"),
    ],
)
def test_numbers_of_all_magnitudes(value: float | None, text: str) -> None:
    assert format_number(value) == text


@given(st.floats(-1e300, 1e300))
def test_a_formatted_number_has_four_correct_digits(value: float) -> None:
    assert float(format_number(value).replace(",", "")) == pytest.approx(value, rel=5.1e-4, abs=0)


def test_large_counts_have_a_unit() -> None:
    assert [format_count(n) for n in (950, 12_300, 143_300_000, 2e9)] == [
        "950",
        "12.3k",
        "143.3M",
        "2.0G",
    ]
