"""``sweep``: a strategy over a history with every combination of its parameters. The door; it decides nothing.

Rule: a combination is a backtest, to the last bit; what is kept of it is its statistics.
"""

import contextlib
import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pairsim.brokers.sim import SimBroker
from pairsim.engine.door import checked_cash, checked_instruments
from pairsim.errors import InputError, StrategyError
from pairsim.market.instrument import Instrument
from pairsim.market.interval import Interval
from pairsim.orders.limits import RiskLimits
from pairsim.research.combinations import Job, Runner
from pairsim.research.costs import FEE_BPS, LATENCY, SLIPPAGE_BPS, Account, broker_of
from pairsim.research.division import run_all
from pairsim.research.door import Bars, read_bars
from pairsim.research.history import History
from pairsim.research.memory_budget import bytes_of, check_memory, most_rows
from pairsim.research.progress import progress_bar
from pairsim.research.space import make_space
from pairsim.research.sweep_table import Sweep, check_metric
from pairsim.research.walk_forward import WalkForward, walk, windows_of
from pairsim.strategies.strategy import Strategy

if TYPE_CHECKING:
    from pairsim.market.sources import Source


def sweep(
    strategy: type[Strategy] | Strategy,
    bars: "Source | Bars",
    space: Mapping[str, Any],
    *,
    cash: float = 10_000.0,
    fee_bps: float = FEE_BPS,
    slippage_bps: float = SLIPPAGE_BPS,
    latency: Interval = LATENCY,
    every: Interval | None = None,
    broker: SimBroker | None = None,
    risk: RiskLimits | None = None,
    instruments: Sequence[Instrument] = (),
    search: str = "grid",
    n: int | None = None,
    seed: int = 0,
    constraint: Callable[[Any], bool] | None = None,
    walk_forward: WalkForward | int | None = None,
    metric: str = "sharpe",
    executor: Any = None,
    memory: str | int = "1GB",
    causality: bool = True,
    progress: bool = True,
) -> Sweep:
    """Trade a history with many combinations of parameters.

    Parameters
    ----------
    strategy : a class, or an instance whose other parameters are kept: ``sweep(RSI(weight=1.0), …)``.
    bars : candles of one or several markets: a frame, file or table, see `load`.
    space : parameter -> values. The axis ``symbol`` trades each of these markets alone, on an account of its own;
        without it a strategy trades all markets of ``bars`` on one account, as in `backtest`.
    cash, fee_bps, slippage_bps, latency, every, broker, risk, instruments : see `backtest`.
    search : "grid" for all combinations, "random" for ``n`` different ones drawn by ``seed``.
    constraint : only combinations it is true of are tried: ``lambda p: p.fast < p.slow``.
    walk_forward : also choose on training windows and trade what follows them, see `WalkForward`; the outcome stands in
        ``walk_forward`` of the table. A number is that of windows.
    metric : a name of `Statistics` by which the best is found.
    executor : who does the work: None for all cores by threads of this process, a ``concurrent.futures.Executor``, or
        a ``dask.distributed.Client``. The table is the same.
    memory : budget of indicators and rows, checked before anything runs.
    causality : check that no indicator looks ahead, as in `backtest`.
    progress : whether a bar is shown when it takes more than a second.

    Returns
    -------
    Sweep

    Raises
    ------
    InputError
        The space is empty, too large, or names what is no parameter; what was given cannot run.
    StrategyError
        A value is outside the limits of its parameter. (A combination that fails while it runs is a row with an error.)

    Examples
    --------
    >>> import pairsim as ps
    >>> bars = ps.synthetic("BTC/USDT", "1h", days=60, seed=7)
    >>> len(ps.sweep(ps.strategies.Simple, bars, {"fast": range(5, 15), "slow": range(20, 40)}))
    200
    """
    check_metric(metric)
    venue, opening, budget = broker_of(broker, fee_bps, slippage_bps, latency), checked_cash(cash), bytes_of(memory)
    template, cut = _template(strategy), _walk_forward(walk_forward)
    candles = read_bars(bars)
    tried = make_space(template, space, candles.columns.symbols, search, n, seed, constraint, most_rows(budget))
    windows = [] if cut is None else windows_of(cut, History(candles.columns, candles.interval_ns).slices)
    job = Job(template, tried, candles, Account(venue, opening, risk), every, checked_instruments(instruments))

    def table(job: Job) -> Sweep:
        return _run(job, metric, budget, executor, causality, progress)

    whole = table(job)
    if cut is not None and not whole.interrupted:
        whole.walk_forward, note = walk(job, cut, windows, table)
        whole.notes += (note,) if note else ()
    return whole


def _run(job: Job, metric: str, budget: int, executor: Any, causality: bool, progress: bool) -> Sweep:
    with _collector_paused():
        runner = Runner(job)
        needs = runner.needs(0, len(job.space))
        if not len(needs.shapes):
            raise StrategyError(f"no combination can begin; the first one: {runner.failure(0)}")
        check_memory(runner, needs, budget)
        runner.prepare(needs)
    note = runner.check_causality(needs) if causality else "causality: not checked"
    with progress_bar(len(job.space), type(job.strategy).__name__, progress) as advance:
        rows = run_all(runner, needs, executor, advance)
    return Sweep(job, runner, rows.rows, rows.done, metric, (note, *rows.notes))


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """A thousand markets are ten thousand objects, none of them garbage: looking for it took a sixth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _walk_forward(spec: WalkForward | int | None) -> WalkForward | None:
    if spec is None or isinstance(spec, WalkForward):
        return spec
    if isinstance(spec, int) and not isinstance(spec, bool):
        return WalkForward(spec)
    raise InputError(f'walk_forward={spec!r}: give a number of windows or ps.WalkForward(train="90d", test="30d")')


def _template(strategy: object) -> Strategy:
    if isinstance(strategy, type) and issubclass(strategy, Strategy):
        return strategy()
    if isinstance(strategy, Strategy):
        return strategy
    raise InputError(f"sweep({strategy!r}, …): give a strategy class such as ps.strategies.RSI, or an instance of one")
