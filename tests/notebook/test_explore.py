"""The explorer without a page: what the controls are made of, what a drag does, that drags never pile up."""

import gc
import threading

import ipywidgets as widgets
import numpy as np
import polars as pl
import pytest

import pairsim as ps
from pairsim.notebook.explore import Explorer
from pairsim.notebook.explore_chart import Chart
from pairsim.notebook.explore_controls import slider_step
from pairsim.notebook.explore_picture import Painter, Span
from pairsim.notebook.newest import Newest

MINUTE = 60_000_000_000


class Dip(ps.Strategy):
    """A parameter of each kind, and values that raise."""

    period: int = ps.param(14, 2, 60)
    low: float = ps.param(30.0, 10, 50)
    share: float = ps.param(0.5, 0.0, 1.0, above_low=True)
    patient: bool = ps.param(False)
    days: int = ps.param(3, 1)
    seen: int = ps.state(0)

    def indicators(self):
        return {"rsi": ps.RSI(self.period), "mean": ps.SMA(20)}

    def generate_signal(self, ctx):
        if self.period == 60:
            return ps.buy(weight=7.0)
        if ctx.rsi < self.low and ctx.position.quantity == 0 and not self.patient:
            return ps.buy(weight=self.share)
        if ctx.rsi > 70 and ctx.position.quantity > 0:
            return ps.close()
        return None


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    return ps.synthetic("BTC/USDT", "1m", n=4_000, seed=3)


@pytest.fixture
def panel(bars: pl.DataFrame):
    made = ps.explore(Dip, bars, cash=5_000, fee_bps=3)
    yield made
    made.close()


def _control(panel: Explorer, name: str):
    return panel._controls.by_name[name]


# --- controls ------------------------------------------------------------------------------------------------------


def test_each_parameter_has_the_control_of_its_kind_and_limits(panel: Explorer) -> None:
    period, low, share, patient, days = panel._controls.by_name.values()
    assert isinstance(period, widgets.IntSlider)
    assert (period.min, period.max, period.value) == (2, 60, 14)
    assert isinstance(low, widgets.FloatSlider)
    assert (low.min, low.max, low.step, low.value) == (10.0, 50.0, 0.2, 30.0)
    assert (share.min, share.max) == (pytest.approx(0.005), 1.0)  # 0 itself is not allowed
    assert isinstance(patient, widgets.Checkbox)
    assert isinstance(days, widgets.IntText)  # one limit makes no slider
    assert "seen" not in panel._controls.by_name


@pytest.mark.parametrize(
    ("low", "high", "step"), [(0, 1, 0.005), (10, 50, 0.2), (0, 100, 0.5), (-3e6, 5e6, 20_000), (2, 2, 1)]
)
def test_steps_are_round_and_at_least_two_hundred(low: float, high: float, step: float) -> None:
    assert slider_step(low, high) == pytest.approx(step)


def test_what_a_page_rounds_away_is_no_other_value(panel: Explorer) -> None:
    _control(panel, "share").value = 0.25
    before = panel.result
    _control(panel, "share").value = 0.24999999999999997  # 0.005 and 49 steps, as a page counts them
    assert panel.strategy.share == 0.25
    assert panel.result is before


def test_an_instance_begins_with_its_values(bars: pl.DataFrame) -> None:
    panel = ps.explore(Dip(period=21), bars)
    assert panel.strategy.period == 21
    _control(panel, "period").value = 9
    panel._controls.reset()
    assert repr(panel.strategy) == repr(Dip(period=21))
    assert panel.result.digest == ps.backtest(Dip(period=21), bars).digest


# --- a drag --------------------------------------------------------------------------------------------------------


def test_a_drag_trades_again_and_updates_chart_and_statistics(panel: Explorer, bars: pl.DataFrame) -> None:
    before = panel._chart.numbers, panel._statistics.value, panel._title.value
    _control(panel, "low").value = 45.0
    wanted = ps.backtest(Dip(low=45.0), bars, cash=5_000, fee_bps=3)
    assert panel.result.digest == wanted.digest
    assert panel.strategy.low == 45.0
    after = panel._chart.numbers, panel._statistics.value, panel._title.value
    assert all(a != b for a, b in zip(before, after, strict=True))
    assert f"{wanted.final_equity:,.2f}" in panel._title.value
    assert panel._chart.described["sequence"] == 2


def test_what_cannot_be_traded_is_told_and_the_next_drag_clears_it(panel: Explorer) -> None:
    chart = panel._chart.numbers
    _control(panel, "period").value = 60
    with pytest.raises(ps.StrategyError, match=r"weight 7\.0 must be"):
        _ = panel.result
    assert "Dip(period=60" in panel._error.value
    assert "weight 7.0 must be" in panel._error.value
    assert panel._chart.numbers == chart
    _control(panel, "period").value = 10
    assert panel.result.stats.trades > 0
    assert panel._error.value == ""


def test_a_value_beyond_its_only_limit_is_told(panel: Explorer) -> None:
    _control(panel, "days").value = 0
    assert "Dip.days=0 is outside its limits" in panel._error.value


def test_what_is_wrong_at_first_is_raised_at_the_door(bars: pl.DataFrame) -> None:
    with pytest.raises(ps.StrategyError, match="weight 7"):
        ps.explore(Dip(period=60), bars)
    with pytest.raises(ps.DataError, match="no rows"):
        ps.explore(Dip, bars.head(0))
    with pytest.raises(ps.InputError, match="give a strategy class"):
        ps.explore(7, bars)  # type: ignore[arg-type]


def test_several_markets_are_chosen_from_a_list() -> None:
    both = ps.synthetic(["BTC/USDT", "ETH/USDT"], "1m", n=2_000, seed=3)
    panel = ps.explore(Dip, both)
    assert panel._chart.described["panes"][0]["title"] == "BTC/USDT"
    panel._market.index = 1
    assert panel.result is panel.result  # nothing traded anew
    assert panel._chart.described["panes"][0]["title"] == "ETH/USDT"


def test_each_market_of_a_trader_of_two_is_chosen_from_a_list() -> None:
    class Pair(ps.Strategy):
        markets = 2

        def indicators(self):
            return {"mean": ps.SMA(5)}

        def generate_signal(self, ctx):
            return ps.target(weight=0.2, market=1) if ctx.index == 50 else None

    panel = ps.explore(Pair, ps.synthetic(["ETH/BTC", "LTC/BTC"], "1m", n=500, seed=3))
    assert panel._market.options == ("ETH/BTC+LTC/BTC: ETH/BTC", "ETH/BTC+LTC/BTC: LTC/BTC")
    for index, market, bought in ((1, "LTC/BTC", "1 buy"), (0, "ETH/BTC", "0 buys")):
        panel._market.index = index
        assert panel.result is panel.result
        pane = panel._chart.described["panes"][0]
        assert (pane["title"], bought in [series["name"] for series in pane["series"]]) == (market, True)


def test_a_user_sees_the_span_that_is_asked_for(panel: Explorer) -> None:
    first, last = panel._chart.described["whole"]
    panel._chart._heard(None, {"kind": "span", "span": [first, first + 60 * 60_000]}, None)
    traded = panel.result
    assert panel._chart.described["view"] == [first, first + 60 * 60_000]
    panel._chart._heard(None, {"kind": "span", "span": None}, None)
    assert panel.result is traded
    assert panel._chart.described["view"] == [first, last]


# --- drags do not pile up --------------------------------------------------------------------------------------------


def test_of_many_drags_during_one_computation_only_the_last_is_traded(panel: Explorer, monkeypatch) -> None:
    traded, begun, go_on = [], threading.Event(), threading.Event()
    trade = panel._trade

    def slowly(strategy):
        traded.append(strategy.period)
        begun.set()
        assert go_on.wait(60)
        return trade(strategy)

    monkeypatch.setattr(panel, "_trade", slowly)
    _control(panel, "period").value = 20
    assert begun.wait(60)
    for period in range(21, 50):
        _control(panel, "period").value = period
    go_on.set()
    assert panel.strategy.period == 49
    assert panel.result._simulation.plan.traders[0].strategy.period == 49
    assert traded == [20, 49]


def test_a_page_that_draws_slowly_gets_the_newest_picture_only(panel: Explorer) -> None:
    chart = panel._chart
    chart._heard(None, {"kind": "drawn", "sequence": 1}, None)  # there is a page
    _control(panel, "low").value = 40.0
    _ = panel.result  # sent at once: the page has drawn the one before
    assert not chart._drawn.is_set()
    waited = []
    chart._drawn.wait = lambda timeout: waited.append(timeout) or True  # type: ignore[method-assign]
    _control(panel, "low").value = 41.0
    _ = panel.result
    assert len(waited) == 1


def test_newest_runs_what_was_asked_last_and_ends_when_idle() -> None:
    done: list[int] = []
    newest: Newest[int] = Newest(done.append, "test")
    for k in range(5):
        newest.ask(k)
        assert newest.settle(60)
    assert done == list(range(5))
    assert newest._thread is None or not newest._thread.is_alive() or newest.settle(1)
    newest.close()
    newest.ask(7)
    assert newest.settle(60)
    assert done[-1] == 4


def test_newest_goes_on_after_work_that_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[float] = []
    monkeypatch.setattr(threading, "excepthook", lambda told: None)
    newest: Newest[int] = Newest(lambda k: done.append(1 / k), "test")
    newest.ask(0)
    assert newest.settle(60)
    newest.ask(2)
    assert newest.settle(60)
    assert done == [0.5]


# --- the picture ---------------------------------------------------------------------------------------------------


def _columns(chart: Chart) -> dict[str, list[np.ndarray]]:
    numbers = np.frombuffer(chart.numbers)
    found = {}
    for pane in chart.described["panes"]:
        for series in pane["series"]:
            n, at = series["length"], series["at"]
            count = 5 if series["kind"] == "candles" else 2
            name = series["kind"] if series["kind"] != "line" else series["name"]
            found[name] = [numbers[at + k * n : at + (k + 1) * n] for k in range(count)]
    return found


def test_a_picture_holds_candles_fills_indicators_equity_and_drawdown(panel: Explorer, bars: pl.DataFrame) -> None:
    found = _columns(panel._chart)
    assert list(found) == ["candles", "mean", "buy", "sell", "rsi", "equity", "area"]
    result = panel.result
    assert found["candles"][2].max() == bars["high"].max()
    assert found["candles"][3].min() == bars["low"].min()
    assert found["equity"][1].min() == result.equity["equity"].min()
    assert found["area"][1].min() == pytest.approx(result.stats.max_drawdown)
    bought = result.fills.filter(pl.col("side") == "BUY")
    assert found["buy"][1].tolist() == bought["price"].to_list()
    assert (found["buy"][0] * 1e6).astype(np.int64).tolist() == bought["timestamp"].to_physical().to_list()


def test_a_picture_does_not_grow_with_the_history() -> None:
    from research.workload import Cross
    from research.workload import bars as candles

    painter = Painter()
    sizes = [len(painter.draw(ps.backtest(Cross(), candles(n), cash=1e10), 0, None).numbers) for n in (20_000, 200_000)]
    assert max(sizes) < 150_000


def test_a_span_outside_the_history_is_moved_into_it(panel: Explorer) -> None:
    result = panel.result
    first = int(result._simulation.slices[0])
    last = int(result._simulation.slices[-1]) + MINUTE
    drawn = Painter().draw(result, 0, Span(last + MINUTE, last + 101 * MINUTE)).described
    assert drawn["view"] == [(last - 100 * MINUTE) / 1e6, last / 1e6]
    assert Painter().draw(result, 0, Span(first, first + 1)).described["view"][1] == (first + 12 * MINUTE) / 1e6
    assert Painter().draw(result, 0, Span(0, 2**62)).described["view"] == [first / 1e6, last / 1e6]


class Never(ps.Strategy):
    """Raises at once."""

    period: int = ps.param(14, 2, 60)

    def generate_signal(self, ctx):
        return ps.buy(weight=7.0)


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_panel_whose_first_backtest_fails_leaves_nothing_behind(bars: pl.DataFrame) -> None:
    with pytest.raises(ps.StrategyError, match=r"weight 7\.0"):
        ps.explore(Never, bars)
    gc.collect()
