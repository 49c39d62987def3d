"""Intervals and times at the door: exact, and errors that say what to write instead."""

from datetime import date, datetime, timedelta, timezone

import numpy as np
import pytest

from pairsim.errors import InputError
from pairsim.market import format_interval, format_time, parse_interval, parse_time


@pytest.mark.parametrize(
    ("given", "ns"),
    [
        ("100ms", 10**8),
        ("5s", 5 * 10**9),
        ("1m", 60 * 10**9),
        ("1h", 3_600 * 10**9),
        ("1d", 86_400 * 10**9),
        ("1.5s", 1_500_000_000),
        (" 250 us ", 250_000),
        (timedelta(minutes=5), 300 * 10**9),
        (timedelta(microseconds=1), 1_000),
        (1_000, 1_000),
        (np.int64(7), 7),
    ],
)
def test_every_accepted_form_gives_exact_nanoseconds(given, ns):
    assert parse_interval(given) == ns
    assert type(parse_interval(given)) is int


@pytest.mark.parametrize(
    "given", ["", "5", "5 parsecs", "-1s", "0s", "0.5ns", "1M", 0, -5, True, 1.5, None, timedelta(0), "9e9s"]
)
def test_anything_else_is_refused_with_the_value_and_the_accepted_forms(given):
    with pytest.raises(InputError) as error:
        parse_interval(given)
    assert repr(given) in str(error.value)
    assert '"100ms"' in str(error.value) and "timedelta" in str(error.value)


@pytest.mark.parametrize("text", ["100ms", "90s", "1m", "4h", "1d", "7d", "3us", "13ns"])
def test_formatting_is_the_inverse_of_parsing(text):
    assert format_interval(parse_interval(text)) == text


def test_times_are_utc_unless_they_say_otherwise():
    noon = 1_735_732_800 * 10**9
    assert parse_time("2025-01-01 12:00") == noon
    assert parse_time("2025-01-01T14:00:00+02:00") == noon
    assert parse_time(datetime(2025, 1, 1, 12)) == noon  # noqa: DTZ001
    assert parse_time(datetime(2025, 1, 1, 13, tzinfo=timezone(timedelta(hours=1)))) == noon
    assert parse_time(date(2025, 1, 1)) == noon - 12 * 3_600 * 10**9
    assert parse_time(noon) == noon


@pytest.mark.parametrize("given", ["yesterday", "01/02/2025", None, 1.5, True])
def test_a_time_not_understood_is_refused_with_the_accepted_forms(given):
    with pytest.raises(InputError, match="ISO text") as error:
        parse_time(given)
    assert repr(given) in str(error.value)


def test_times_are_told_with_the_decimals_they_need():
    assert format_time(1_735_732_800 * 10**9) == "2025-01-01 12:00:00"
    assert format_time(1_735_732_800 * 10**9 + 10**8) == "2025-01-01 12:00:00.1"
    assert format_time(-1) == "1969-12-31 23:59:59.999999999"
