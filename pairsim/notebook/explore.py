"""``explore``: a strategy's parameters as sliders; every drag trades the whole history again and shows what came of it.

Rule: the sliders' thread only asks; one thread computes and always takes the newest values, so drags never pile up.
"""

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final, TypedDict

import ipywidgets as widgets

from pairsim import clock
from pairsim.errors import InputError, PairsimError
from pairsim.notebook.explore_chart import Chart
from pairsim.notebook.explore_controls import Controls
from pairsim.notebook.explore_picture import Painter, Span
from pairsim.notebook.newest import Newest
from pairsim.research.backtesting import backtest
from pairsim.research.door import read_bars
from pairsim.research.result import Result
from pairsim.strategies.strategy import Strategy, fields_of, retuned

if TYPE_CHECKING:
    from typing import Unpack

    from pairsim.brokers.sim import SimBroker
    from pairsim.market.instrument import Instrument
    from pairsim.market.interval import Interval
    from pairsim.market.sources import Source
    from pairsim.orders.limits import RiskLimits
    from pairsim.research.door import Bars

__all__ = ["BacktestOptions", "Explorer", "explore"]

_PATIENCE: Final = 300.0  # seconds that `result` waits for the newest values to be traded


class BacktestOptions(TypedDict, total=False):
    """Options of `backtest`, with its defaults."""

    cash: float
    fee_bps: float
    slippage_bps: float
    latency: "Interval"
    every: "Interval | None"
    broker: "SimBroker | None"
    risk: "RiskLimits | None"
    instruments: "Sequence[Instrument]"
    causality: bool


def explore(
    strategy: type[Strategy] | Strategy, bars: "Source | Bars", **options: "Unpack[BacktestOptions]"
) -> "Explorer":
    """Sliders for a strategy's parameters; dragging one trades the whole history again.

    Parameters
    ----------
    strategy : a class, which begins with its defaults, or an instance, which begins with its values.
    bars : candles of one or several markets, as `backtest` takes them.
    options : those of `backtest`.

    Returns
    -------
    Explorer
        Shows itself in a notebook; ``.result`` and ``.strategy`` are what the sliders say now.

    Raises
    ------
    PairsimError
        Whatever `backtest` raises for the first values. Later errors are shown in the panel.

    Examples
    --------
    >>> import pairsim as ps
    >>> bars = ps.synthetic("BTC/USDT", "1h", days=60, seed=7)
    >>> panel = ps.explore(ps.strategies.RSI, bars, cash=10_000)
    >>> panel.strategy
    RSI(period=14, low=30.0, high=70.0, weight=0.25)
    """
    first = strategy() if isinstance(strategy, type) and issubclass(strategy, Strategy) else strategy
    if not isinstance(first, Strategy):
        raise InputError(f"explore({strategy!r}, …): give a strategy class such as ps.strategies.RSI, or an instance")
    return Explorer(first, read_bars(bars), options)


@dataclass(frozen=True)
class _Request:
    """One state of the panel."""

    strategy: Strategy
    shown: int  # of the markets to choose from
    span: Span | None


@dataclass(frozen=True)
class _Traded:
    """What came of a strategy: a result or an error."""

    strategy: Strategy
    result: Result | None
    error: Exception | None
    taken_ns: int


class Explorer(widgets.VBox):
    """The panel made by `explore`: controls and statistics beside a chart."""

    def __init__(self, strategy: Strategy, bars: "Bars", options: BacktestOptions) -> None:
        self._first, self._bars, self._options = strategy, bars, options
        self._painter = Painter()
        self._span: Span | None = None
        self._chart = Chart(self._spanned)
        self._controls = Controls(strategy, self._ask)
        self._title, self._statistics, self._error = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self._traded = self._trade(strategy)
        if self._traded.error is not None:
            raise self._traded.error
        self._newest: Newest[_Request] = Newest(self._work, "pairsim-explore")
        self._market = self._market_choice()
        self._work(_Request(strategy, 0, None))
        left = widgets.VBox([self._controls.box, self._market, self._statistics])
        left.layout = widgets.Layout(width="270px", flex="0 0 auto", overflow="visible")
        right = widgets.VBox([self._error, self._chart])  # an error never moves a slider from under the pointer
        right.layout = widgets.Layout(flex="1 1 280px", min_width="280px")
        parts = widgets.HBox([left, right], layout=widgets.Layout(flex_flow="row wrap"))
        super().__init__([self._title, parts])

    # -- what to take away --------------------------------------------------------------------------------------------

    @property
    def strategy(self) -> Strategy:
        """The strategy with the values that the controls show."""
        return retuned(self._first, **self._controls.values())

    @property
    def result(self) -> Result:
        """The backtest of `strategy`; waits for it where a drag is still being traded.

        Raises
        ------
        PairsimError : what the panel shows in its place.
        """
        if not self._newest.settle(_PATIENCE):
            raise InputError(f"{self.strategy!r} is still being traded after {_PATIENCE:g} s; ask again later")
        traded = self._traded
        if traded.result is None:
            raise traded.error or InputError(f"{self.strategy!r} has not been traded")
        return traded.result

    def close(self) -> None:
        """Let go of the page's views; nothing is traded any more."""
        if hasattr(self, "_newest"):  # else it was never made: its first backtest failed
            self._newest.close()
        super().close()

    def __repr__(self) -> str:
        return f"Explorer({self.strategy!r})"

    # -- asking, in the kernel's thread -------------------------------------------------------------------------------

    def _ask(self, _: object = None) -> None:
        try:
            strategy = self.strategy
        except PairsimError as error:  # typed into a field that has one limit only
            self._error.value = _error_html(self._traded.strategy, error)
            return
        self._newest.ask(_Request(strategy, self._market.index or 0, self._span))

    def _spanned(self, span: Span | None) -> None:
        self._span = span
        self._ask()

    def _market_choice(self) -> Any:
        assert self._traded.result is not None
        traders = self._traded.result._simulation.plan.traders
        self._places = [(t, k) for t, trader in enumerate(traders) for k in range(len(trader.markets))]
        names = [
            trader.name if len(trader.markets) == 1 else f"{trader.name}: {market}"
            for trader in traders
            for market in trader.markets
        ]
        choice = widgets.Dropdown(options=names, description="show", style={"description_width": "84px"})
        choice.layout = widgets.Layout(width="auto", display=None if len(names) > 1 else "none")
        choice.observe(self._ask, names="index")
        return choice

    # -- working, in a thread of its own ------------------------------------------------------------------------------

    def _trade(self, strategy: Strategy) -> _Traded:
        start = clock.monotonic_ns()
        try:
            result = backtest(strategy, self._bars, **self._options)
            _ = result.stats  # made when first asked for: here, as part of what a drag costs
            return _Traded(strategy, result, None, clock.monotonic_ns() - start)
        except Exception as error:  # the edge of a thread: what a strategy raises is shown in the panel
            return _Traded(strategy, None, error, clock.monotonic_ns() - start)

    def _work(self, request: _Request) -> None:
        if _values(self._traded.strategy) != _values(request.strategy):  # else only the view has moved
            self._traded = self._trade(request.strategy)
        try:
            self._show(request, self._traded)
        except Exception as error:
            self._error.value = _error_html(request.strategy, error)

    def _show(self, request: _Request, traded: _Traded) -> None:
        if traded.result is None:
            assert traded.error is not None
            self._error.value = _error_html(traded.strategy, traded.error)
            return
        self._error.value = ""
        self._title.value = _title_html(traded)
        self._statistics.value = _statistics_html(traded.result)
        trader, k = self._places[request.shown]
        self._chart.show(self._painter.draw(traded.result, trader, request.span, k))


def _values(strategy: Strategy) -> dict[str, Any]:
    return {name: getattr(strategy, name) for name, field in fields_of(strategy).items() if field.is_param}


# --- text ----------------------------------------------------------------------------------------------------------


def _title_html(traded: _Traded) -> str:
    assert traded.result is not None
    result = traded.result
    orders = len(result._simulation.orders)
    return (
        f"<b>{escape(repr(traded.strategy))}</b> &nbsp; {result.cash:,.2f} became {result.final_equity:,.2f} &nbsp; "
        f"<small>{len(result._simulation.times):,} candles, {orders:,} orders, {traded.taken_ns / 1e6:.0f} ms</small>"
    )


def _statistics_html(result: Result) -> str:
    rows = "".join(
        f"<tr title='{escape(why, quote=True)}'><td>{name.replace('_', ' ')}</td>"
        f"<td style='text-align:right;padding-left:1em;font-variant-numeric:tabular-nums'>{value}</td></tr>"
        for name, value, why in result.stats.lines()
    )
    notes = "".join(f"<div>{escape(note)}</div>" for note in result.notes)
    return f"<table style='line-height:1.35'>{rows}</table><small>{notes}</small>"


def _error_html(strategy: Strategy, error: Exception) -> str:
    known = isinstance(error, PairsimError)
    told = str(error) if known else "".join(traceback.format_exception(error))
    return (
        "<div role='alert' style='border-left:4px solid #D55E00;padding:4px 10px;white-space:pre-wrap;"
        f"overflow-wrap:anywhere'><b>{escape(repr(strategy))}</b> cannot be traded; the chart is of the values before."
        f"\n{escape(told)}</div>"
    )
