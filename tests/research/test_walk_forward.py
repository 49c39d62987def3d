"""Walk-forward: windows, what is chosen in them, and the stitched account, each against backtests made by hand."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from research.workload import Cross

import pairsim as ps
from pairsim.errors import InputError
from pairsim.research import sweeping, walk_forward
from pairsim.research.walk_forward import windows_of

HOUR = 3_600_000_000_000
SPACE = {"period": [5, 9, 14], "low": [25.0, 35.0]}


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    return ps.synthetic("BTC/USDT", "1h", n=2_400, seed=11)


def test_windows_of_equal_parts_roll_or_are_anchored() -> None:
    slices = HOUR * np.arange(100)
    rolling = windows_of(ps.WalkForward(4), slices)
    assert [(w.first // HOUR, w.start // HOUR) for w in rolling] == [(0, 20), (20, 40), (40, 60), (60, 80)]
    assert [w.end for w in rolling] == [40 * HOUR, 60 * HOUR, 80 * HOUR, 99 * HOUR + 1]
    anchored = windows_of(ps.WalkForward(4, anchored=True), slices)
    assert [w.first for w in anchored] == [0, 0, 0, 0]
    assert [w.start for w in anchored] == [w.start for w in rolling]


def test_windows_by_length_follow_each_other_and_leave_out_the_rest() -> None:
    slices = HOUR * np.arange(24 * 10 + 5)
    found = windows_of(ps.WalkForward(train="4d", test="2d"), slices)
    day = 24 * HOUR
    assert [(w.first // day, w.start // day, w.end // day) for w in found] == [(0, 4, 6), (2, 6, 8), (4, 8, 10)]


def test_a_hole_after_the_first_candle_makes_no_further_window() -> None:
    slices = HOUR * np.concatenate([[0], np.arange(48, 24 * 10 + 5)])
    day = 24 * HOUR
    found = windows_of(ps.WalkForward(train="4d", test="2d"), slices)
    assert [w.end // day for w in found] == [6, 8, 10]


@pytest.mark.parametrize("anchored", [False, True])
def test_each_window_trades_what_was_best_before_it(bars: pl.DataFrame, anchored: bool) -> None:
    table = ps.sweep(ps.strategies.RSI, bars, SPACE, walk_forward=ps.WalkForward(3, anchored=anchored))
    assert len(table) == 6
    done = table.walk_forward
    assert done is not None and len(done) == 3
    cash = 10_000.0
    for window in done.windows.rows(named=True):
        trained = bars.filter(
            pl.col("timestamp").is_between(window["train_start"], window["test_start"], closed="left")
        )
        best = ps.sweep(ps.strategies.RSI, trained, SPACE).best
        assert {name: window[name] for name in SPACE} == best.parameters
        assert window["sharpe_in_sample"] == best.metrics.sharpe
        stitched = done.equity.filter(
            pl.col("timestamp").is_between(window["test_start"], window["test_end"], closed="right")
        )
        assert stitched["equity"][0] == pytest.approx(cash)  # flat at first, what the window before it left
        cash = window["final_equity"]
    assert done.equity["timestamp"].is_sorted()
    assert done.stats.total_return == pytest.approx(cash / 10_000.0 - 1.0)
    assert done.stats.trades == done.windows["trades"].sum() > 0


class Once(ps.Strategy):
    """Buys at the first candle it sees and never again."""

    share: float = ps.param(0.5, 0.0, 1.0)
    bought: bool = ps.state(False)

    def indicators(self):
        return {"line": ps.SMA(20)}

    def generate_signal(self, ctx):
        if not self.bought:
            self.bought = True
            return ps.buy(weight=self.share)
        return None


def test_a_test_window_decides_at_its_first_close_with_warm_indicators(bars: pl.DataFrame) -> None:
    done = ps.sweep(Once, bars, {"share": [0.5]}, walk_forward=2, fee_bps=0, metric="total_return").walk_forward
    for window in done.windows.rows(named=True):
        tested = bars.filter(pl.col("timestamp").is_between(window["test_start"], window["test_end"], closed="left"))
        mine = done.equity.filter(
            pl.col("timestamp").is_between(window["test_start"], window["test_end"], closed="right")
        )
        opening = mine["equity"][0]  # decided at the first close, so filled at the second open
        moved = 0.5 * opening / tested["close"][0] * (tested["close"] - tested["open"][1])
        assert mine["equity"][1:].to_list() == pytest.approx((opening + moved)[1:].to_list(), rel=1e-6)


def test_where_nothing_traded_in_training_the_account_stays_in_cash(bars: pl.DataFrame) -> None:
    done = ps.sweep(ps.strategies.RSI, bars, {"low": [0.0, 1.0]}, walk_forward=2).walk_forward
    assert done.windows["low"].to_list() == [None, None]
    assert (done.equity["equity"] == 10_000.0).all()
    assert done.stats.reasons["sharpe"] == "daily returns do not vary"
    assert done._repr_html_() and repr(done)


def test_its_table_has_the_digits_of_the_statistics_above_it(bars: pl.DataFrame) -> None:
    done = ps.sweep(ps.strategies.RSI, bars, SPACE, walk_forward=2).walk_forward
    html, part = done._repr_html_(), done.windows.row(0, named=True)
    assert f"<td>{100 * part['total_return']:,.2f} %</td>" in html
    assert f"<td>{part['sharpe_in_sample']:,.2f}</td>" in html
    assert f"<td>{part['sharpe_out_of_sample']:,.2f}</td>" in html
    assert f"<td>{part['final_equity']:,.2f}</td>" in html
    assert f"<td class='text'>{part['test_start']:%Y-%m-%d %H:%M}</td>" in html


@pytest.mark.parametrize("finished", [0, 2])
def test_an_interrupted_training_is_not_chosen_from(
    bars: pl.DataFrame, monkeypatch: pytest.MonkeyPatch, finished: int
) -> None:
    whole = ps.sweep(ps.strategies.RSI, bars, SPACE, walk_forward=3)
    run, tables = sweeping._run, []

    def cut_short(*arguments: Any) -> ps.Sweep:
        """Ctrl-C comes in the training of the window after the finished ones; the first table is of all time."""
        table = run(*arguments)
        tables.append(table)
        table.interrupted = len(tables) == 2 + finished
        return table

    monkeypatch.setattr(sweeping, "_run", cut_short)
    table = ps.sweep(ps.strategies.RSI, bars, SPACE, walk_forward=3)
    assert len(tables) == 2 + finished
    assert f"interrupted: {finished} of 3 walk-forward windows" in repr(table)
    if not finished:
        assert table.walk_forward is None
    else:
        assert table.walk_forward.windows.equals(whole.walk_forward.windows[:finished])


class Later(ps.Strategy):
    """Buys and sells, until a moment at which it raises."""

    until: int = ps.param(0, 0, 1 << 62)

    def generate_signal(self, ctx):
        if ctx.time > self.until:
            raise ValueError("too late")
        if ctx.position.quantity == 0:
            return ps.buy(weight=0.5)
        return ps.close() if ctx.index % 7 == 0 else None


def test_a_test_window_that_fails_keeps_the_table_and_the_windows_before(bars: pl.DataFrame) -> None:
    last = bars["timestamp"].dt.timestamp("ns")[1_500]
    table = ps.sweep(Later, bars, {"until": [last]}, walk_forward=ps.WalkForward(3), metric="total_return")
    assert len(table) == 1 and table.walk_forward is not None and len(table.walk_forward) == 1
    told = table.notes[-1]
    assert "ended after 1 of 3 windows" in told and f"until={last}" in told
    assert "too late" in told and "close" in told


def test_an_interrupt_while_a_test_window_is_traded_keeps_the_windows_before(
    bars: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    traded, trade = [], walk_forward._trade

    def interrupted(*arguments: Any) -> Any:
        if len(traded) == 2:
            raise KeyboardInterrupt
        traded.append(1)
        return trade(*arguments)

    monkeypatch.setattr(walk_forward, "_trade", interrupted)
    table = ps.sweep(ps.strategies.RSI, bars, SPACE, walk_forward=ps.WalkForward(3))
    assert len(table) == 6 and table.walk_forward is not None and len(table.walk_forward) == 2
    assert "interrupted: 2 of 3" in repr(table)


def test_a_history_too_short_for_its_windows_is_refused_before_anything_runs(
    bars: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "_run", lambda *arguments: pytest.fail("it ran"))
    with pytest.raises(InputError, match="shorten"):
        ps.sweep(ps.strategies.RSI, bars, SPACE, walk_forward=ps.WalkForward(train="90d", test="30d"))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ps.WalkForward(), "either windows="),
        (lambda: ps.WalkForward(3, train="1d", test="1d"), "either windows="),
        (lambda: ps.WalkForward(train="1d"), "give both"),
        (lambda: ps.WalkForward(0), "from 1 on"),
        (lambda: windows_of(ps.WalkForward(60), HOUR * np.arange(100)), "too short"),
        (lambda: windows_of(ps.WalkForward(train="90d", test="30d"), HOUR * np.arange(100)), "shorten them"),
    ],
)
def test_windows_that_cannot_be_say_why(make, words: str) -> None:
    with pytest.raises(InputError, match=words):
        make()


def test_walk_forward_is_a_number_or_a_spec(bars: pl.DataFrame) -> None:
    with pytest.raises(InputError, match="number of windows"):
        ps.sweep(Cross, bars, {"fast": [2]}, walk_forward="5")
