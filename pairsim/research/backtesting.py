"""``backtest``: a strategy over a history, by the kernels of the live machine. The door; it decides nothing.

Rule: decided at a candle's close, filled at the next open at the earliest; the same fill rule, checks and accounting as
live (``research.loop`` drives them).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pairsim.brokers.sim import SimBroker
from pairsim.engine.display import port
from pairsim.engine.door import checked_cash, checked_instruments
from pairsim.engine.engine import Engine
from pairsim.engine.layout import T_WARMUP
from pairsim.engine.plan import Plan, make_plan
from pairsim.engine.trader import Trader
from pairsim.errors import InputError
from pairsim.market.instrument import Instrument
from pairsim.market.interval import Interval, format_interval
from pairsim.orders.limits import RiskLimits
from pairsim.research.causality import check_function, check_indicators
from pairsim.research.costs import FEE_BPS, LATENCY, SLIPPAGE_BPS, Account, broker_of
from pairsim.research.door import Bars, read_bars, traders_of
from pairsim.research.history import History
from pairsim.research.result import Result
from pairsim.research.signal_table import is_signal_table, read_signals, signal_frame, signal_traders
from pairsim.strategies.strategy import Strategy

if TYPE_CHECKING:
    import polars as pl

    from pairsim.market.sources import Source


def backtest(
    strategy_or_traders: "Strategy | Trader | Sequence[Trader] | pl.DataFrame | Callable[[pl.DataFrame], pl.DataFrame]",
    bars: "Source | Bars",
    *,
    cash: float = 10_000.0,
    fee_bps: float = FEE_BPS,
    slippage_bps: float = SLIPPAGE_BPS,
    latency: Interval = LATENCY,
    every: Interval | None = None,
    broker: SimBroker | None = None,
    risk: RiskLimits | None = None,
    instruments: Sequence[Instrument] = (),
    causality: bool = True,
) -> Result:
    """Trade a history and say what came of it.

    Parameters
    ----------
    strategy_or_traders : a strategy, which becomes a trader for each market of the history, all on one account (or one
        trader on all of them, if it is written for several); a `Trader` or a list of them; or signals computed
        elsewhere: a polars frame with columns ``timestamp`` (open stamp of the candle it was computed from, acted on at
        that candle's close), ``symbol``, ``side`` (buy, sell, close or target), ``weight``, or a function that makes
        such a frame of the candles it is given.
    bars : candles of one or several markets: a frame, file or table, see `load`.
    cash : what the account opens with, in the quote currency.
    fee_bps, slippage_bps, latency : what trading costs; see `SimBroker`.
    every : candles that a bare strategy decides on, "5m"; None for those of `bars`.
    broker : a `SimBroker` in place of the three costs, for everything else it can do.
    risk : limits beyond which an order is denied, see `RiskLimits`.
    instruments : tick, lot and minimum of markets; an undeclared one has no tick, a lot of 1e-8 and no minimum.
    causality : check that no indicator and no signal function looks ahead (costs less than a fifth of the run).

    Returns
    -------
    Result

    Raises
    ------
    DataError
        The history is empty, unsorted, has a bad candle or one twice.
    InputError
        What was given cannot run, or an indicator looks ahead; the message names it.
    StrategyError
        The strategy raised or returned what cannot be traded; the message names trader and candle.

    Examples
    --------
    >>> import pairsim as ps
    >>> bars = ps.synthetic("BTC/USDT", "1h", days=60, seed=7)
    >>> len(ps.backtest(ps.strategies.RSI(), bars, cash=10_000).equity)
    1440
    """
    venue, opening = broker_of(broker, fee_bps, slippage_bps, latency), checked_cash(cash)
    candles = read_bars(bars)
    if not is_signal_table(strategy_or_traders):
        traders = traders_of(strategy_or_traders, candles.columns.symbols, every)  # type: ignore[arg-type]
        return _run(traders, candles, venue, opening, risk, instruments, causality)
    if every is not None:
        raise InputError(f"every={every!r}: signals from a table are acted on at the close of their own candle")
    frame = candles.frame()
    signals = signal_frame(strategy_or_traders, frame)
    traders = signal_traders(read_signals(signals, candles))
    note = "causality: signals computed elsewhere cannot be checked; pass the function that makes them"
    if causality and callable(strategy_or_traders):
        note = check_function(strategy_or_traders, signals, candles, frame)
    return _run(traders, candles, venue, opening, risk, instruments, causality, note)


def backtest_engine(engine: Engine, bars: "Source | Bars") -> Result:
    """`backtest` with an engine's traders, broker, limits, instruments and cash: ``engine.backtest(bars)``."""
    candles = read_bars(bars)
    traders = traders_of(engine._traders, candles.columns.symbols, None)
    if not isinstance(engine._broker, SimBroker):
        raise InputError(
            f"this engine trades with {port(engine._broker)}; a backtest needs a simulated venue: "
            "ps.backtest(traders, bars, broker=ps.SimBroker(...))"
        )
    return _run(traders, candles, engine._broker, engine._cash, engine._risk, engine._instruments, True)


def _run(
    traders: tuple[Trader, ...],
    bars: Bars,
    broker: SimBroker,
    cash: float,
    risk: RiskLimits | None,
    instruments: Sequence[Instrument],
    causality: bool,
    note: str = "",
) -> Result:
    plan = make_plan(traders, bars.interval_ns, checked_instruments(instruments), markets=bars.columns.symbols)
    history = History(bars.columns, bars.interval_ns)
    notes = _never_warm(plan, history)
    prepared = Account(broker, cash, risk).prepared(plan, history)
    if risk is not None:
        notes = (f"risk: {risk!r}, what is beyond is denied", *notes)
    if not note:
        note = check_indicators(plan, history) if causality else "causality: not checked"
    return Result(prepared.run(), history, broker, cash, (note, *notes))


def _never_warm(plan: Plan, history: History) -> tuple[str, ...]:
    """Traders whose history ends before their indicators are warm; an error when it is all of them."""
    notes = []
    for row, trader in zip(plan.rows, plan.traders, strict=True):
        closed, needed = min(len(series) for series in history.series_of(row)), int(row[T_WARMUP])
        if closed < needed:
            every = format_interval(trader.every_ns or plan.base_ns)
            notes.append(
                f"trader {trader.name!r} never decides: its indicators need {needed:,} candles of {every}, "
                f"the history has {closed:,}"
            )
    if len(notes) == len(plan.traders):
        raise InputError(f"{notes[0]}; give a longer history or shorter periods")
    return tuple(notes)
