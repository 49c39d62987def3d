"""The live view fits every terminal, tells what matters most where room is short, and needs no engine."""

import dataclasses
import io
import itertools
import math
import re

import pytest
from rich.console import Console

from pairsim.cli.demo import Options
from pairsim.cli.observation import PATH_POINTS, ChannelRow, Observation, OrderRow, Path, TraderRow
from pairsim.cli.screen import screen
from pairsim.cli.summary import summary
from pairsim.engine.metrics import Latency, Metrics
from pairsim.engine.status import RunState, Trading

SIZES = [(20, 5), (40, 10), (60, 18), (79, 23), (80, 24), (120, 40), (149, 30), (150, 30), (200, 50), (300, 80)]
NAMES = ("SUI/USDT", "SOL/USDT", "BTC/USDT")
NOW = 1_735_690_354_500_000_000  # 2025-01-01 00:12:34.5
HOLDER = TraderRow(
    "", "Simple", "15s", quantity=16_673.42, average_price=1.4986, last_price=1.5, fees=24.99, pnl=-50.17
)
ORDER = OrderRow(NOW, "SUI/USDT", "BUY", "MARKET", 166.5563, 150.07, "FILLED")


def _seen(names=NAMES, orders=40, **changes) -> Observation:
    seen = Observation(
        state=RunState.RUNNING,
        elapsed=12.5,
        feed_time_ns=NOW,
        feed_speed=59.97,
        candle_rate=1799.0,
        candles=22_500,
        evaluations=570,
        orders=orders,
        fills=orders,
        cash=49_853.28,
        equity=99_895.60,
        opening=100_000.0,
        currency="USDT",
        fees=199.92,
        equity_path=tuple(100_000.0 - 5.0 * k for k in range(100)),
        traders=tuple(dataclasses.replace(HOLDER, name=name) for name in names),
        last_orders=tuple(
            dataclasses.replace(ORDER, time_ns=NOW + k * 10**9, trader=names[k % len(names)])
            for k in range(min(orders, 60))
        ),
        channels=tuple(ChannelRow(f"candles to worker {w}", 3, 982, 8192, 1, 2_500_000) for w in range(6)),
        metrics=Metrics(tick_to_order=Latency(8, 50.0, 2500.0), order_to_fill=Latency(8, 4000.0, 27_200.0)),
    )
    return dataclasses.replace(seen, **changes)


def _drawn(seen: Observation, width: int, height: int, **kwargs) -> list[str]:
    out = io.StringIO()
    console = Console(
        file=out, width=width, height=height, color_system=None, force_terminal=False, legacy_windows=False
    )
    console.print(screen(seen, Options(), width, height, **kwargs))
    return out.getvalue().rstrip("\n").split("\n")


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("orders", [0, 1, 40])
def test_view_fits_the_terminal(width: int, height: int, orders: int) -> None:
    lines = _drawn(_seen(orders=orders), width, height)
    assert len(lines) <= height
    assert max(len(line.rstrip()) for line in lines) <= width


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_view_of_many_markets_and_workers_fits_too(width: int, height: int) -> None:
    names = tuple(f"MARKET{k}/USDT" for k in range(100))
    channels = tuple(ChannelRow(f"candles to worker {w}", 3, 982, 8192, 1, 2_500_000) for w in range(64))
    lines = _drawn(_seen(names=names, channels=channels), width, height)
    assert len(lines) <= height
    assert max(len(line.rstrip()) for line in lines) <= width


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (150, 30), (200, 50)])
def test_usual_terminals_show_every_part(width: int, height: int) -> None:
    text = "\n".join(_drawn(_seen(), width, height))
    for part in (
        "running",
        "12.5 of 30 s",
        "trading active",
        "60x",
        "99,895.60 USDT",
        "-104.40",
        *NAMES,
        "traders",
        "last orders",
    ):
        assert part in text
    for part in ("channels", "982", "8,192", "latencies", "50 us", "27.2 ms", "evals", "fills", "PnL"):
        assert part in text


def test_narrow_terminal_keeps_trader_position_and_profit() -> None:
    text = "\n".join(_drawn(_seen(), 40, 20))
    assert re.search(r"trader +strategy +position +PnL", text)
    assert "16,673.42" in text and "-50.17" in text


def test_short_terminal_drops_channels_before_traders() -> None:
    text = "\n".join(_drawn(_seen(), 80, 14))
    assert "SUI/USDT" in text and "last orders" in text
    assert "channels" not in text


def test_newest_orders_are_the_ones_shown() -> None:
    seen = _seen()
    shown = [line for line in _drawn(seen, 80, 24) if "MARKET" in line]
    assert 1 <= len(shown) < len(seen.last_orders)
    assert shown[-1].startswith("00:13:13")


def test_hidden_traders_are_counted() -> None:
    text = "\n".join(_drawn(_seen(names=tuple(f"M{k}/USDT" for k in range(100))), 80, 24))
    assert re.search(r"traders, \d+ of 100", text)


def test_column_without_content_takes_no_room() -> None:
    seen = _seen()
    assert "reason" not in "\n".join(_drawn(seen, 120, 40))
    denied = OrderRow(
        1_735_690_354_000_000_000, "SUI/USDT", "BUY", "MARKET", 1.0, math.nan, "DENIED", "not enough cash"
    )
    text = "\n".join(_drawn(_seen(last_orders=(denied,)), 120, 40))
    assert "reason" in text and "not enough cash" in text


def test_failure_of_run_and_trader_are_told() -> None:
    failed = TraderRow("SUI/USDT", "RSI", "5s", state="failed", message="ZeroDivisionError: division by zero\nmore")
    text = "\n".join(
        _drawn(
            _seen(state=RunState.FAILED, trading=Trading.HALTED, error="the host has ended", traders=(failed,)), 120, 40
        )
    )
    for part in ("failed", "trading halted", "the host has ended", "ZeroDivisionError"):
        assert part in text
    assert "more" not in text


def test_view_before_the_first_candle_has_no_nan() -> None:
    text = "\n".join(
        _drawn(
            _seen(names=NAMES, orders=0, feed_time_ns=0, feed_speed=math.nan, candle_rate=math.nan, metrics=Metrics()),
            120,
            40,
        )
    )
    assert "nan" not in text.lower()
    assert "none yet" in text


def test_terminal_without_unicode_gets_ascii() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    console = Console(file=file, width=120, height=40, force_terminal=True, legacy_windows=False)
    console.print(screen(_seen(error="x" * 500), Options(), 120, 40, ascii_only=True))
    file.flush()
    assert b"SUI/USDT" in raw.getvalue()


def test_no_colour_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    def codes() -> set[str]:
        out = io.StringIO()
        console = Console(
            file=out, width=120, height=40, force_terminal=True, color_system="standard", legacy_windows=False
        )
        console.print(screen(_seen(), Options(), 120, 40))
        return {code for found in re.findall(r"\x1b\[([\d;]*)m", out.getvalue()) for code in found.split(";")}

    colours = {str(c) for c in [*range(30, 38), *range(90, 98)]}
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert codes() & colours
    monkeypatch.setenv("NO_COLOR", "1")
    assert not codes() & colours


def test_summary_is_at_most_80_columns_wide() -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, color_system=None)
    seen = _seen(state=RunState.STOPPED, metrics=Metrics(late=8, worker_restarts=2))
    for part in summary(seen, 12.5, Options(), 750.0):
        console.print(part)
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert any(re.fullmatch(r"SUI/USDT +Simple 15s +0 +0 +0 +16,673.42 +24.99 +-50.17", line) for line in lines)


def test_path_keeps_beginning_and_end_in_bounded_memory() -> None:
    path = Path()
    for k in range(10 * PATH_POINTS + 3):
        path.add(float(k))
    values = path.values()
    assert len(values) <= PATH_POINTS
    assert values[0] == 0.0 and values[-1] == 10 * PATH_POINTS + 2
    assert len({b - a for a, b in itertools.pairwise(values[:-1])}) == 1  # evenly spaced
