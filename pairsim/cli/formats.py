"""Numbers as people read them in a terminal. Pure: values in, text out, nothing wider than its column needs."""

import math
from collections.abc import Sequence

from pairsim.market.interval import format_time

NONE = "-"
BARS = "▁▂▃▄▅▆▇█"
ASCII_BARS = "_.-~=+*#"


def money(amount: float) -> str:
    """Two decimals and thousands: ``-1,234.50``; an amount that rounds to nothing has no sign."""
    if not math.isfinite(amount):
        return NONE
    return f"{round(amount, 2) + 0.0:,.2f}"


def signed(amount: float) -> str:
    """As `money`, with a plus before gains."""
    text = money(amount)
    return f"+{text}" if math.isfinite(amount) and round(amount, 2) > 0 else text


def percent(share: float) -> str:
    """A share with its sign and two decimals: ``-0.07 %``."""
    if not math.isfinite(share):
        return NONE
    rounded = round(100 * share, 2) + 0.0
    return f"{'+' if rounded > 0 else ''}{rounded:.2f} %"


def amount_of(quantity: float) -> str:
    """A quantity in at most seven significant digits, never in powers of ten: ``166.5631``, ``0.00042``."""
    if not math.isfinite(quantity):
        return NONE
    if quantity == 0:
        return "0"
    decimals = min(8, max(0, 6 - math.floor(math.log10(abs(quantity)))))
    text = f"{quantity:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def price(value: float) -> str:
    """A price with as many decimals as its size asks for: ``60,012.35``, ``1.50213``."""
    if not math.isfinite(value) or value == 0:
        return NONE
    decimals = min(8, max(2, 5 - math.floor(math.log10(abs(value))) - (abs(value) >= 1_000)))
    return f"{value:,.{decimals}f}"


def microseconds(us: float) -> str:
    """A duration: ``51 us``, ``4.0 ms``, ``1.20 s``."""
    if not math.isfinite(us):
        return NONE
    if us < 999.5:
        return f"{us:,.0f} us"
    return f"{us / 1e3:,.1f} ms" if us < 999_950 else f"{us / 1e6:,.2f} s"


def span(seconds: float) -> str:
    """A length of time in its two largest units: ``12.5 s``, ``30 min 2 s``, ``2 h 5 min``, ``3 d 4 h``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, size, below, below_size in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // below_size
            return f"{whole // size:,} {unit}" + (f" {rest} {below}" if rest else "")
    raise AssertionError(seconds)


def rate(per_second: float) -> str:
    """Events a second: ``1,800/s``, ``12.4 M/s``."""
    return f"{per_second / 1e6:,.1f} M/s" if per_second >= 1e6 else f"{per_second:,.0f}/s"


def factor(speed: float | None) -> str:
    """How fast a feed runs: ``60x``, ``0.5x``; None is as fast as the channels take."""
    return "max" if speed is None else f"{speed:,.0f}x" if speed >= 100 else f"{speed:.3g}x"


def moment(time_ns: int) -> str:
    """A feed time to the tenth of a second, without its zone: ``2025-01-01 00:12:34.5``."""
    return format_time(time_ns - time_ns % 100_000_000) if time_ns else NONE


def time_of_day(time_ns: int) -> str:
    """Of a feed time the part within the day: ``00:12:34``."""
    return format_time(time_ns - time_ns % 1_000_000_000)[11:]


def count_of(number: int, one: str) -> str:
    """``1 order``, ``12 orders``."""
    return f"{number:,} {one}{'' if number == 1 else 's'}"


def chart(values: Sequence[float], width: int, rows: int = 1, *, ascii_only: bool = False) -> list[str]:
    """Bars of ``rows`` rows, the topmost first and the oldest value left; the lowest value still has a bar.

    Values are spread over at most ``width`` bars; a bar shows the last value of its stretch.
    """
    bars = ASCII_BARS if ascii_only else BARS
    known = [v for v in values if math.isfinite(v)]
    if not known or width < 1:
        return [""] * rows
    count = min(width, len(known))
    shown = [known[(i + 1) * len(known) // count - 1] for i in range(count)]
    low, high = min(shown), max(shown)
    most = rows * len(bars)
    # Eighths of a row, 1 to most; a path that never moved lies at the bottom.
    levels = [1 + min(most - 1, int((v - low) / (high - low) * most)) if high > low else 1 for v in shown]
    lines = []
    for row in range(rows - 1, -1, -1):
        filled = [level - row * len(bars) for level in levels]
        lines.append("".join(" " if f <= 0 else bars[min(f, len(bars)) - 1] for f in filled))
    return lines
