"""From traders to tables: which markets, pairs, rows and indicator rows a run has. Shared by the live machine and the
backtest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pairsim.engine.layout import (
    I_CONSTANTS,
    I_OUTPUTS,
    I_STATE,
    I_WINDOW,
    INDICATOR_WORDS,
    T_A_WORDS,
    T_B_WORDS,
    T_BASE,
    T_INDICATOR,
    T_INDICATORS,
    T_INTERVAL,
    T_MARKET,
    T_MARKETS,
    T_OUTPUTS,
    T_PAIR,
    T_PLAIN,
    T_RECORD,
    T_STATE,
    T_STATES,
    T_VALUES,
    T_WARMUP,
    T_WINDOWS,
    TRADER_WORDS,
    record_offset,
    slot_a_words,
    slot_b_words,
)
from pairsim.engine.trader import Trader
from pairsim.errors import InputError
from pairsim.market.instrument import Instrument
from pairsim.market.interval import format_interval
from pairsim.strategies.compiler import StrategyCode, prepare

STATE_LIMIT = 256  # words of slot B: more would be copied at every close; use an indicator's window or several traders


@dataclass(frozen=True)
class Plan:
    """The tables of a run. ``rows`` has one row a trader; indicator rows of trader t begin at ``rows[t,
    T_INDICATOR]``.
    """

    traders: tuple[Trader, ...]
    codes: tuple[StrategyCode, ...]
    instruments: tuple[Instrument, ...]
    pairs: tuple[tuple[int, int], ...]
    rows: np.ndarray
    indicators: np.ndarray
    constants: np.ndarray
    base_ns: int

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """The markets, by index."""
        return tuple(i.symbol for i in self.instruments)


def make_plan(
    traders: Sequence[Trader],
    base_ns: int,
    instruments: Sequence[Instrument] = (),
    codes: Sequence[StrategyCode] | None = None,
    markets: Sequence[str] = (),
) -> Plan:
    """Lay the traders out. ``markets`` puts further symbols first, so that a backtest keeps the order of its data.

    Raises
    ------
    InputError
        Two traders share a name, an interval is not a multiple of the feed's, a strategy has too much state.
    """
    names = [t.name for t in traders]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f'{names.count(name)} traders are called "{name}"; give each one a name=, it is how '
                "you reach it: engine[name]"
            )
    symbols = list(dict.fromkeys([*markets, *(s for t in traders for s in t.markets)]))
    declared = {i.symbol: i for i in instruments}
    table = tuple(declared.get(s) or Instrument(s) for s in symbols)
    if codes is None:
        made = {id(t.strategy): prepare(t.strategy) for t in {id(t.strategy): t for t in traders}.values()}
        codes = [made[id(t.strategy)] for t in traders]
    codes = tuple(codes)
    rows = np.zeros((len(traders), TRADER_WORDS), np.int64)
    indicator_rows: list[list[int]] = []
    constants: list[np.ndarray] = []
    pairs: list[tuple[int, int]] = []
    for t, (trader, code) in enumerate(zip(traders, codes, strict=True)):
        row = rows[t]
        fill_row(row, trader, code, base_ns, len(indicator_rows))
        for k, symbol in enumerate(trader.markets):
            row[T_MARKET + k], row[T_PAIR + k] = symbols.index(symbol), len(pairs)
            pairs.append((t, symbols.index(symbol)))
        indicator_rows += describe_indicators(code, constants)
    return Plan(
        tuple(traders),
        codes,
        table,
        tuple(pairs),
        rows,
        np.array(indicator_rows, np.int64).reshape(-1, INDICATOR_WORDS),
        np.concatenate([*constants, np.zeros(1)]),
        base_ns,
    )


def describe_indicators(code: StrategyCode, constants: list[np.ndarray]) -> list[list[int]]:
    """Indicator rows of a strategy (address 0: each process resolves it); their constants are appended."""
    out = []
    for _, indicator in code.indicators:
        row = [0] * INDICATOR_WORDS
        row[I_CONSTANTS] = sum(len(c) for c in constants)
        row[I_STATE], row[I_WINDOW], row[I_OUTPUTS] = (
            indicator.state_words,
            indicator.window_words,
            len(indicator.fields),
        )
        constants.append(np.asarray(indicator.constants, np.float64))
        out.append(row)
    return out


def fill_row(row: np.ndarray, trader: Trader, code: StrategyCode, base_ns: int, first_indicator: int) -> None:
    """The words of a trader's row that follow from its strategy and interval."""
    interval = trader.every_ns or base_ns
    if interval % base_ns:
        raise InputError(
            f"trader {trader.name!r} decides every {format_interval(interval)}, the feed's candles "
            f"are {format_interval(base_ns)} long; "
            f"every= must be a whole multiple of that"
        )
    m = len(trader.markets)
    state = sum(i.state_words for _, i in code.indicators)
    row[T_MARKETS], row[T_INTERVAL], row[T_BASE] = m, interval, base_ns
    row[T_WARMUP] = max([1, *(i.warmup for _, i in code.indicators)])
    row[T_INDICATORS], row[T_OUTPUTS], row[T_RECORD] = len(code.indicators), code.outputs, code.words
    row[T_A_WORDS], row[T_B_WORDS] = slot_a_words(m), slot_b_words(m, code.words, state, code.outputs)
    row[T_STATE] = record_offset(m) + code.words  # in slot B: indicator states, then outputs
    row[T_VALUES] = row[T_STATE] + m * state
    row[T_STATES], row[T_WINDOWS] = state, sum(i.window_words for _, i in code.indicators)
    row[T_INDICATOR], row[T_PLAIN] = first_indicator, 0 if code.compiled else 1
    if row[T_B_WORDS] - record_offset(m) > STATE_LIMIT:
        raise InputError(
            f"trader {trader.name!r} keeps {row[T_B_WORDS] - record_offset(m)} words of state (record "
            f"{code.words}, indicators {state} a market), "
            f"the limit is {STATE_LIMIT}: it is copied at every close; shorten its arrays"
        )
