"""Numbers as the terminal shows them: no lost signs, no powers of ten, never a NaN."""

import math

import pytest

from pairsim.cli import formats


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (formats.money, 1234.5, "1,234.50"),
        (formats.money, -0.001, "0.00"),
        (formats.money, math.nan, "-"),
        (formats.signed, 12.0, "+12.00"),
        (formats.signed, -12.0, "-12.00"),
        (formats.signed, 0.004, "0.00"),
        (formats.percent, -0.00068, "-0.07 %"),
        (formats.percent, 0.5, "+50.00 %"),
        (formats.amount_of, 166.563085, "166.5631"),
        (formats.amount_of, 16_673.4213, "16,673.42"),
        (formats.amount_of, 0.00000042, "0.00000042"),
        (formats.amount_of, 25.0, "25"),
        (formats.amount_of, 1_000_000.0, "1,000,000"),
        (formats.amount_of, 0.0, "0"),
        (formats.price, 60_012.345678, "60,012.35"),
        (formats.price, 1.5021349, "1.50213"),
        (formats.price, 150.0, "150.000"),
        (formats.price, 0.0, "-"),
        (formats.price, math.nan, "-"),
        (formats.microseconds, 51.2, "51 us"),
        (formats.microseconds, 999.9, "1.0 ms"),
        (formats.microseconds, 4018.0, "4.0 ms"),
        (formats.microseconds, 1_200_000.0, "1.20 s"),
        (formats.microseconds, math.nan, "-"),
        (formats.span, 4.7, "4.7 s"),
        (formats.span, 60.0, "1 min"),
        (formats.span, 1802.0, "30 min 2 s"),
        (formats.span, 7_500.0, "2 h 5 min"),
        (formats.span, 273_600.0, "3 d 4 h"),
        (formats.rate, 1800.4, "1,800/s"),
        (formats.rate, 12_400_000.0, "12.4 M/s"),
        (formats.factor, None, "max"),
        (formats.factor, 60.0, "60x"),
        (formats.factor, 0.5, "0.5x"),
        (formats.factor, 1234.5, "1,234x"),
        (formats.moment, 1_735_689_754_512_345_678, "2025-01-01 00:02:34.5"),
        (formats.moment, 0, "-"),
        (formats.time_of_day, 1_735_689_754_512_345_678, "00:02:34"),
    ],
)
def test_value_is_written_as(function, value, text) -> None:
    assert function(value) == text


def test_counts_agree_with_their_noun() -> None:
    assert formats.count_of(1, "order") == "1 order"
    assert formats.count_of(1200, "order") == "1,200 orders"


def test_chart_rises_with_its_values() -> None:
    assert formats.chart([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], 8) == ["▁▂▃▄▅▆▇█"]


def test_chart_of_two_rows_fills_the_lower_before_the_upper() -> None:
    assert formats.chart([0.0, 1.0, 2.0], 3, 2) == [" ▁█", "▁██"]


def test_chart_shows_the_newest_value_of_more_values_than_bars() -> None:
    assert formats.chart([*[0.0] * 99, 1.0], 4) == ["▁▁▁█"]


def test_chart_of_a_path_that_never_moved_is_flat() -> None:
    assert formats.chart([5.0, 5.0, 5.0], 10) == ["▁▁▁"]


def test_chart_of_nothing_is_empty() -> None:
    assert formats.chart([], 10) == [""]
    assert formats.chart([math.nan], 10, 3) == ["", "", ""]


def test_chart_without_block_characters_is_ascii() -> None:
    (line,) = formats.chart(list(map(float, range(40))), 40, ascii_only=True)
    assert line.isascii() and len(line) == 40
