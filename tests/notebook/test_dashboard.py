"""Dashboards of real engines: what they show is what the engine says; no fault of theirs or ours leaves a dead view."""

import math
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import psutil
import pytest
from notebook.live import Failing, Never, Often, replay, two_traders, until

import pairsim as ps
from pairsim.engine.status import RunState
from pairsim.notebook.candles_panel import pane_of
from pairsim.notebook.dashboard import Dashboard, source_of
from pairsim.notebook.look import Look
from pairsim.notebook.order_log import OrderLog
from pairsim.notebook.panels import EquityPanel, PnlPanel, SummaryPanel, run_note
from pairsim.notebook.views import kernel
from pairsim.notebook.views.view import View


@pytest.fixture(scope="module")
def engine() -> Iterator[ps.Engine]:
    with two_traders() as engine:
        engine.wait(0)
        until(lambda: engine.status.fills >= 6, "six fills")
        yield engine
    until(lambda: threads_of_views() == 0, "the thread ends with the run")


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    return ps.synthetic(["BTC/USDT", "ETH/USDT"], "1m", n=300, seed=4)


def values(dashboard: Dashboard) -> dict[str, str]:
    return dict(dashboard.panels["summary"].tiles.frame().select("name", "value").rows())


def notes(dashboard: Dashboard) -> set[str]:
    return {panel.view._message[0] for panel in dashboard.panels.values() if hasattr(panel, "view")}


def said(dashboard: Dashboard) -> str:
    """What is said of the run, once, under its buttons."""
    return dashboard.panels["controls"]._note.value


def threads_of_views() -> int:
    return [thread.name for thread in threading.enumerate()].count("pairsim-views")


def ended(engine: ps.Engine) -> None:
    until(lambda: engine.view.source._thread is None, "the views' thread has ended")


# --- what is shown -------------------------------------------------------------------------------------------------


def test_a_finished_run_is_shown_as_the_engine_tells_it(bars) -> None:
    engine = replay(bars, ps.Trader("BTC/USDT", Often()), ps.Trader("ETH/USDT", Often(pace=7), every="5m"))
    with engine:
        engine.wait()
        shown = engine.dashboard()
        ended(engine)
        table = shown.panels["orders"].table.frame()
        orders = engine.orders
        assert len(orders) > 20
        assert table["status"].to_list() == orders["status"].to_list()
        assert table["filled"].to_list() == orders["filled_quantity"].to_list()
        assert table["average price"].to_list() == pytest.approx(orders["average_price"].to_list(), nan_ok=True)
        assert table["order"].to_list() == orders["client_order_id"].to_list()
        positions = engine.portfolio.positions
        told = shown.panels["positions"].table.frame()
        for name, column in (("quantity", "quantity"), ("unrealised", "unrealised"), ("realised", "realised")):
            assert told[name].to_list() == positions[column].to_list()
        equity = shown.panels["equity"].line.frame()
        assert equity["equity"][-1] == engine.equity["equity"][-1] == engine.portfolio.equity
        pnl = shown.panels["pnl"].line.frame()
        assert pnl["total"][-1] == pytest.approx(engine.portfolio.equity - 100_000)
        assert pnl["BTC/USDT"][-1] + pnl["ETH/USDT"][-1] == pytest.approx(pnl["total"][-1])
        candles = shown.panels["candles"].candles.frame()
        expected = engine.candles("BTC/USDT")
        assert candles["close"].to_list() == expected["close"].to_list()
        assert candles["mean"].to_list() == pytest.approx(ps.sma(expected["close"], 3).to_list(), nan_ok=True)
        assert len(shown.panels["candles"].candles._marks) == len(engine.fills.filter(pl.col("symbol") == "BTC/USDT"))
        assert all(view._final for view in (shown.panels["equity"].view, shown.panels["orders"].view))
        shown.close()


def test_it_moves_while_the_run_does_and_candles_follow_another_market(engine) -> None:
    shown = engine.dashboard("ETH/USDT")
    candles, equity = shown.panels["candles"].candles, shown.panels["equity"].line
    points = len(equity.frame())
    until(lambda: len(equity.frame()) > points, "another point of equity")
    until(lambda: "rsi" in candles.frame().columns, "indicators of the trader")
    assert candles.title == "ETH/USDT, 500ms"
    shown.panels["candles"].choose("BTC/USDT")
    until(lambda: candles.title == "BTC/USDT, 200ms", "the other market")
    before = candles.frame()["timestamp"][-1]
    until(lambda: candles.frame()["timestamp"][-1] > before, "another candle")
    stamps = candles.frame()["timestamp"].dt.epoch("ms").diff().drop_nulls()
    assert set(stamps.to_list()) == {200}
    with pytest.raises(ps.errors.InputError, match="this engine has BTC/USDT"):
        shown.panels["candles"].choose("DOGE/USDT")
    shown.close()


def test_the_story_of_an_order_comes_when_its_row_is_opened(engine) -> None:
    shown = engine.view.orders()
    table = shown
    key = engine.orders.filter(pl.col("status") == "FILLED")["client_order_id"][0]
    until(lambda: key in table.frame()["order"].to_list(), "the order")
    table._on_open(key)
    until(lambda: table.frame().filter(pl.col("order") == key)["story"][0] != "", "its story")
    story = table.frame().filter(pl.col("order") == key)["story"][0]
    assert "initialized" in story.splitlines()[0]
    assert "filled" in story.splitlines()[-1]
    shown.close()


def test_latencies_and_channels_are_told(engine) -> None:
    latency, channels = engine.view.latency(), engine.view.channels()
    until(lambda: latency.frame()["samples"][0] > 0, "latencies")
    assert latency.frame()["p50 ms"].is_finite().all()
    assert "candles to worker 0" in channels.frame()["channel"].to_list()
    latency.close()
    channels.close()


def test_two_dashboards_and_single_panels_share_one_thread_and_closing_them_ends_it(engine) -> None:
    first, second, tiles = engine.dashboard(), engine.dashboard(), engine.view.summary()
    until(lambda: threads_of_views() == 1, "one thread (that of another test may be about to end)")
    first.close()
    before = engine.status.candles
    until(lambda: engine.status.candles > before + 10, "the run goes on")
    second.close()
    tiles.close()
    assert isinstance(tiles, View)
    until(lambda: threads_of_views() == 0, "the thread has ended")
    assert engine.status.state == "running"


def test_threads_take_turns_more_often_while_there_are_views_only(engine) -> None:
    until(lambda: threads_of_views() == 0, "the end of another test's thread")
    before = sys.getswitchinterval()
    panel = engine.view.equity()
    until(lambda: sys.getswitchinterval() == pytest.approx(0.001), "a turn each millisecond")
    panel.close()
    until(lambda: sys.getswitchinterval() == before, "turns as before")


def test_a_swap_changes_the_indicators_on_view(engine) -> None:
    view = engine.view.candles("ETH/USDT").children[1]
    until(lambda: {"mean", "rsi"} <= set(view.frame().columns), "indicators")
    strategy = engine["ETH/USDT"].strategy
    engine["ETH/USDT"].swap(Never())
    until(lambda: "rsi" not in view.frame().columns, "no indicators")
    engine["ETH/USDT"].swap(strategy)
    view.close()


def test_every_panel_saves_its_data_and_asks_for_its_picture(engine, tmp_path, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(View, "send", lambda view, content, buffers=None: asked.extend(map(bytes, buffers or [])))
    monkeypatch.setattr(kernel, "present", lambda: True)
    for name in ("summary", "equity", "pnl", "candles", "orders", "positions", "health", "channels", "latency"):
        panel = getattr(engine.view, name)()
        until(lambda panel=panel: len(panel.frame()) > 0, f"something to see of {name}")
        panel.to_csv(tmp_path / "data.csv")
        panel.to_parquet(tmp_path / "data.parquet")
        kept = pl.read_parquet(tmp_path / "data.parquet")
        assert kept.columns == pl.read_csv(tmp_path / "data.csv").columns == panel.frame().columns
        assert 0 < len(kept) <= len(panel.frame())
        assert panel.to_svg().startswith("<svg")
        panel.to_png(tmp_path / "picture.png")
        assert any(b'"what":"picture"' in message for message in asked)
        asked.clear()
        panel.close()


def test_a_picture_of_the_page_is_refused_where_there_is_no_page(engine, tmp_path) -> None:
    panel = engine.view.equity()
    with pytest.raises(ps.InputError, match=r"needs a notebook's page.*to_svg\(\)"):
        panel.to_png(tmp_path / "picture.png")
    panel.close()


def test_a_dashboard_saves_all_its_views_into_a_folder(engine, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(kernel, "present", lambda: True)
    shown = engine.dashboard()
    shown.to_csv(tmp_path / "made" / "csv")
    shown.to_parquet(tmp_path / "parquet")
    expected = {"summary", "equity", "pnl", "candles", "orders", "positions", "health", "channels", "latency"}
    assert set(shown.views) == expected
    assert {path.stem for path in (tmp_path / "made" / "csv").glob("*.csv")} == expected
    assert {path.stem for path in (tmp_path / "parquet").glob("*.parquet")} == expected
    assert pl.read_parquet(tmp_path / "parquet" / "orders.parquet")["order"][0] == engine.orders["client_order_id"][0]
    shown.to_png(tmp_path / "pictures")  # written when a page answers, and here is none
    assert list((tmp_path / "pictures").iterdir()) == []
    shown.close()


# --- faults --------------------------------------------------------------------------------------------------------


def test_before_it_is_started_it_says_so() -> None:
    engine = two_traders()
    shown = engine.dashboard()
    assert "Not started yet: engine.start()" in said(shown)
    assert notes(shown) == {"", "No orders yet", "No candle has closed yet"}
    alone = engine.view.equity()
    assert alone._message[0] == "Not started yet: engine.start()"
    alone.close()
    assert values(shown)["State"] == "created"
    shown.close()


def test_with_no_trades_yet_it_says_so(bars) -> None:
    with replay(bars, ps.Trader("BTC/USDT", Never())) as engine:
        engine.wait()
        shown = engine.dashboard()
        ended(engine)
        assert shown.panels["orders"].view._message[0] == "No orders yet"
        assert shown.panels["equity"].line.frame()["equity"].unique().to_list() == [100_000]
        assert "0 fills marked" in repr(shown.panels["candles"].candles)
        shown.close()


def test_of_a_stopped_engine_the_last_picture_stays() -> None:
    engine = two_traders().start()
    shown = engine.dashboard()
    engine.wait(0)
    until(lambda: engine.status.fills >= 2, "fills")
    engine.stop()
    ended(engine)
    assert values(shown)["State"] == "stopped"
    assert "last picture" in said(shown)
    assert shown.panels["equity"].view._final
    assert len(shown.panels["orders"].table.frame()) == len(engine.orders)
    again = engine.dashboard()
    ended(engine)
    assert again.panels["orders"].table.frame().equals(shown.panels["orders"].table.frame().with_columns())
    assert len(again.panels["candles"].candles.frame()) > 3
    again.panels["candles"].choose("ETH/USDT")  # also when nothing streams any more
    assert again.panels["candles"].candles.title == "ETH/USDT, 500ms"


def test_of_a_run_whose_host_died_it_says_why_and_what_to_do() -> None:
    engine = two_traders().start()
    shown = engine.dashboard()
    engine.wait(0)
    until(lambda: engine.status.fills >= 2, "fills")
    psutil.Process(engine._process.pid).kill()
    ended(engine)
    assert all(words in said(shown) for words in ("exit status -9", "engine.orders", "make a new Engine"))
    assert values(shown)["State"] == "failed"
    assert shown.panels["controls"]._buttons.halt.disabled
    assert len(shown.panels["orders"].table.frame()) == len(engine.orders)


def test_a_strategy_that_fails_every_candle_is_shown_with_its_traceback() -> None:
    traders = [ps.Trader("BTC/USDT", Failing()), ps.Trader("ETH/USDT", Often())]
    with ps.Engine(traders, ps.RandomFeed(tick="100ms", speed=20, seed=1), workers=1) as engine:
        table, shown = engine.view.health(), engine.dashboard()
        until(lambda: "failed" in table.frame()["state"].to_list(), "the failure")
        until(lambda: "ZeroDivisionError" in table.frame()["details"][0], "its traceback")
        until(lambda: "BTC/USDT has failed: ZeroDivisionError" in said(shown), "said where one cannot overlook it")
        engine["BTC/USDT"].swap(Never())
        until(lambda: not said(shown), "a trader that has been seen to is not named")
        before = engine.status.fills
        until(lambda: engine.status.fills > before, "the other trader trades on")
        assert table.frame()["state"][1] == "active"


def test_equity_that_is_not_a_number_is_a_gap(engine) -> None:
    source = engine.view.source
    summary, look = SummaryPanel(source), source.look
    broken = replace(look, equity=math.nan, pnl=np.full(2, math.nan), drawdown=math.nan, candle_rate=math.nan)
    summary.refresh(broken)
    assert dict(summary.tiles.frame().select("name", "value").rows())["Equity"] == "nan"
    assert b"NaN" not in summary.tiles.get_state()["_snapshot"]
    equity = engine.view.equity()
    equity.append([look.status.feed_time + 10**12], [[math.nan]])
    assert b"NaN" not in equity.get_state()["_snapshot"].split(b"}")[0]


class Broken:
    """A panel that fails while it is told to."""

    failing, said, gone = True, "", False

    def refresh(self, look: Look) -> None:
        if self.failing:
            raise KeyError("nothing here")

    def final(self) -> None: ...

    def fault(self, text: str) -> None:
        self.said = text


def test_a_panel_that_fails_says_so_recovers_and_leaves_the_others_alone(engine) -> None:
    panel, tiles = Broken(), engine.view.summary()
    engine.view.source.add(panel)
    assert "KeyError" in panel.said
    before = engine.view.source.passes
    until(lambda: engine.view.source.passes > before + 2, "the others go on")
    panel.failing = False
    until(lambda: panel.said == "", "it recovers")
    engine.view.source.remove(panel)
    tiles.close()


def test_a_run_that_cannot_be_looked_at_is_said_in_every_view_until_it_can(engine, monkeypatch) -> None:
    shown = engine.dashboard()
    source = engine.view.source

    def broken() -> None:
        raise OSError("memory has gone")

    monkeypatch.setattr(source, "_looker", SimpleNamespace(look=lambda **_: broken()))
    until(lambda: all("memory has gone" in note for note in notes(shown)), "said in every view")
    assert "memory has gone" in shown.panels["controls"]._outcome.value
    monkeypatch.undo()
    until(lambda: not any("memory has gone" in note for note in notes(shown)), "the views go on")
    shown.close()


def test_charts_end_at_what_the_run_came_to(engine) -> None:
    equity, pnl, look = EquityPanel(engine.view.source), PnlPanel(engine.view.source), engine.view.source.look
    ended = replace(look, status=replace(look.status, state=RunState.STOPPED))
    for value in (90_000.0, 90_500.0, 90_500.0):  # booked after the last candle
        for panel in (equity, pnl):
            panel.update(replace(ended, equity=value))
    assert equity.line.frame()["equity"][-2:].to_list() == [90_000.0, 90_500.0]
    assert pnl.line.frame()["total"][-2:].to_list() == [-10_000.0, -9_500.0]
    equity.view.close(), pnl.view.close()


def test_what_a_run_is_doing_is_said_in_words(engine) -> None:
    look = engine.view.source.look
    for trading, words in (("halted", "no order passes"), ("reduce_only", "only reduce")):
        status = replace(look.status, trading=ps.Trading(trading))
        assert words in run_note(replace(look, status=status))[0]
    assert run_note(replace(look, status=replace(look.status, error="the disk is full")))[0] == "the disk is full"


def test_dashboard_takes_an_engine_only() -> None:
    with pytest.raises(ps.errors.InputError, match="give it an Engine"):
        ps.dashboard(3)


# --- pieces --------------------------------------------------------------------------------------------------------


def test_orders_read_together_stand_in_the_order_they_were_decided() -> None:
    """Also when the older one was filled after the newer one had been: its row was the last to change."""
    log = OrderLog(two_traders()._plan)
    for key in (1, 2, 3, 4, 3, 2):
        log.orders[key] = SimpleNamespace(order_id=key)
        log._touch(key)
    assert [row.order_id for row in log.changed_since(1)] == [2, 3, 4]
    assert [row.order_id for row in log.changed_since(5)] == [2]


def test_what_moves_with_the_price_lies_over_the_candles() -> None:
    close = np.linspace(100, 120, 50)
    assert pane_of("mean", close * 1.01, close) == "price"
    assert pane_of("rsi", np.linspace(20, 80, 50), close) == "rsi"
    assert pane_of("macd.signal", close - 110, close) == "macd"
    assert pane_of("late", np.full(50, np.nan), close) == ""


def test_a_report_says_which_part_of_the_candles_it_shows(tmp_path) -> None:
    long = ps.synthetic("BTC/USDT", "1m", n=2_500, seed=3)
    with replay(long, ps.Trader("BTC/USDT", Often())) as engine:
        engine.wait()
        engine.report(tmp_path / "run.html")
    text = (tmp_path / "run.html").read_text()
    assert "the last 2,047 of 2,500 candles, which is what a run keeps: 2025-01-01 07:33:00 to 2025-01-02 17:40" in text


def test_pnl_by_trader_of_a_run_nobody_looked_at_adds_up_to_its_equity(bars) -> None:
    with replay(bars, ps.Trader("BTC/USDT", Often()), ps.Trader("ETH/USDT", Often())) as engine:
        engine.wait()
        time, values = source_of(engine).points()
        filled = engine.fills["timestamp"].to_physical().to_numpy()
    values = values[~np.isin(time, filled)]  # a mark comes before the fills at the open that follows at once
    assert len(values) > 100
    assert np.ptp(values[:, 0]) > 0.0
    np.testing.assert_allclose(values[:, 1:].sum(axis=1), values[:, 0] - engine._cash, atol=0.05)


def test_a_report_is_one_file_that_asks_for_nothing(bars, tmp_path) -> None:
    with replay(bars, ps.Trader("BTC/USDT", Often(), name="<odd>"), ps.Trader("ETH/USDT", Failing())) as engine:
        engine.wait()
        engine.report(tmp_path / "run.html")
        text = (tmp_path / "run.html").read_text()
    assert "&lt;odd&gt;" in text
    assert "ZeroDivisionError" in text
    assert text.count('class="plotly-graph-div"') == 3
    assert "all 300 candles, " in text
    assert 'src="http' not in text
    assert "src='http" not in text
    with pytest.raises(ps.errors.EngineError, match="call start"):
        two_traders().report(tmp_path / "none.html")
