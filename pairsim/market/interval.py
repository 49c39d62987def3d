"""Lengths and points of time at the door: whatever a user writes becomes int64 nanoseconds, exactly."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TypeAlias

from pairsim.errors import InputError

Interval: TypeAlias = str | int | timedelta
Moment: TypeAlias = str | int | datetime | date

UNIT_NS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
    "w": 604_800_000_000_000,
}
DAY_NS = UNIT_NS["d"]
YEAR_NS = 365 * DAY_NS  # markets that never close; volatilities are per square root of this

_PATTERN = re.compile(r"(\d+(?:\.\d+)?)\s*(ns|us|ms|s|m|h|d|w)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_NS = 2**62


def parse_interval(interval: Interval) -> int:
    """Nanoseconds of an interval given as text ("100ms", "5s", "1m", "1h", "1d"), a timedelta or int nanoseconds.

    Raises
    ------
    InputError
        The value is none of these, or not above zero; the message names it and the accepted forms.
    """
    length: int | Decimal | None = None
    if isinstance(interval, str):
        match = _PATTERN.fullmatch(interval.strip())
        if match:
            length = Decimal(match[1]) * UNIT_NS[match[2]]
    elif isinstance(interval, timedelta):
        length = _timedelta_ns(interval)
    else:
        length = _index(interval)
    if length is None or length != int(length) or not 0 < length < _LONGEST_NS:
        raise InputError(
            f"interval {interval!r} is not understood: write a number above 0 and a unit of {', '.join(UNIT_NS)} "
            f'(such as "100ms", "5s", "1m", "1h", "1d"), a timedelta, or a whole number of nanoseconds'
        )
    return int(length)


def format_interval(interval_ns: int) -> str:
    """The shortest exact text of an interval: ``format_interval(90 * 10**9) == "90s"``; "1w" is written "7d"."""
    for unit in ("d", "h", "m", "s", "ms", "us"):
        if interval_ns % UNIT_NS[unit] == 0:
            return f"{interval_ns // UNIT_NS[unit]}{unit}"
    return f"{interval_ns}ns"


def parse_time(moment: Moment) -> int:
    """Nanoseconds since the UTC epoch of ISO text, a datetime, a date or int nanoseconds; naive times are UTC.

    Raises
    ------
    InputError
        The value is none of these; the message names it and the accepted forms.
    """
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment.strip())
        except ValueError:
            raise _not_a_time(moment) from None
    if isinstance(moment, datetime):
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return _timedelta_ns(aware - _EPOCH)
    if isinstance(moment, date):
        return (moment - _EPOCH.date()).days * DAY_NS
    whole = _index(moment)
    if whole is None:
        raise _not_a_time(moment)
    return whole


def format_time(time_ns: int) -> str:
    """ISO text of a time in UTC with as many decimals as it needs: ``2025-01-01 00:00:00.1``."""
    seconds, rest = divmod(int(time_ns), UNIT_NS["s"])
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")
    return f"{text}.{rest:09d}".rstrip("0") if rest else text


def _timedelta_ns(length: timedelta) -> int:
    return ((length.days * 86_400 + length.seconds) * 1_000_000 + length.microseconds) * 1_000


def _index(value: object) -> int | None:
    """The value as an int if it is a whole number of any integer type (numpy's too), else None; True is no number."""
    if isinstance(value, bool):
        return None
    as_index = getattr(value, "__index__", None)
    return None if as_index is None else int(as_index())


def _not_a_time(moment: object) -> InputError:
    return InputError(
        f'time {moment!r} is not understood: write ISO text such as "2025-01-01" or "2025-01-01 12:30:00" '
        f"(UTC unless it carries an offset), a datetime, or whole nanoseconds since 1970"
    )
