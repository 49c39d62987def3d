"""The opening words of a portfolio, and the range of what can be counted, checked at the door."""

import numpy as np
import pytest

from pairsim.errors import InputError
from pairsim.market.instrument import Instrument
from pairsim.portfolio.layout import (
    A_CASH,
    A_CASH_F,
    A_EQUITY,
    A_MAKER,
    A_MARKETS,
    A_OPENING,
    A_PAIRS,
    A_QUOTE_SCALE,
    A_SHORT,
    A_SLIPPAGE,
    A_TAKER,
    ACCOUNT_WORDS,
    M_BASE_SCALE,
    M_LOT,
    M_MARK,
    M_MINIMUM,
    M_QUANTITY,
    M_TICK,
    M_TO_QUOTE,
    MARKET_WORDS,
    P_MARKET,
    P_TRADER,
    PAIR_WORDS,
    Costs,
    init_portfolio,
    market_cell,
    portfolio_words,
    rate_units,
)


def opened(cash=1_000.0, instruments=(Instrument("A/B"),), pairs=((0, 0),), costs=Costs(), base=0):  # noqa: B008
    mem = np.full(base + portfolio_words(len(instruments), len(pairs)), 77, np.int64)
    init_portfolio(mem, base, instruments, pairs, cash, costs)
    return mem


def test_an_account_opens_with_its_cash_and_its_costs():
    mem = opened(1_234.56, costs=Costs(10.0, 2.5, 30.0, True))
    f = mem.view(np.float64)
    assert (mem[A_CASH], mem[A_OPENING], f[A_CASH_F], f[A_EQUITY]) == (
        123_456_000_000,
        123_456_000_000,
        1_234.56,
        1_234.56,
    )
    assert (mem[A_TAKER], mem[A_MAKER], f[A_SLIPPAGE], mem[A_SHORT]) == (100_000, 25_000, 0.003, 1)
    assert (mem[A_MARKETS], mem[A_PAIRS], f[A_QUOTE_SCALE]) == (1, 1, 1e8)


def test_markets_and_pairs_stand_behind_the_account_and_nothing_of_before_is_left():
    instruments = (
        Instrument("A/Q", tick_size=0.01, lot_size=0.001, minimum_notional=5.0, base_scale=6, quote_scale=2),
        Instrument("B/Q", quote_scale=2),
    )
    mem = opened(instruments=instruments, pairs=((0, 1), (3, 0)), base=5)
    f = mem.view(np.float64)
    cell = market_cell(5, 0)
    assert (f[cell + M_BASE_SCALE], f[cell + M_TO_QUOTE], mem[cell + M_LOT]) == (1e6, 1e-4, 1_000)
    assert (f[cell + M_TICK], mem[cell + M_MINIMUM], mem[cell + M_QUANTITY]) == (0.01, 500, 0)
    assert np.isnan(f[cell + M_MARK])
    assert f[market_cell(5, 1) + M_TICK] == 0.0
    first = 5 + ACCOUNT_WORDS + 2 * MARKET_WORDS
    assert (mem[first + P_MARKET], mem[first + P_TRADER]) == (1, 0)
    assert (mem[first + PAIR_WORDS + P_MARKET], mem[first + PAIR_WORDS + P_TRADER]) == (0, 3)
    assert np.all(mem[:5] == 77) and not np.any(mem[5:] == 77)


def test_the_range_of_cash_is_checked_at_the_door():
    assert opened(8.9e10)[A_CASH] == 8_900_000_000_000_000_000
    for cash in (9.0e10, 9.2e10, 1e300, 10**400, float("inf"), float("nan"), -0.01):
        with pytest.raises(InputError, match=r"from 0 to 90,000,000,000.*int64 units of 1e-08.*smaller quote_scale"):
            opened(cash)
    assert opened(9.2e10, (Instrument("A/B", quote_scale=2),))[A_CASH] == 9_200_000_000_000


@pytest.mark.parametrize("cash", [None, "1000", True, [1_000.0], 1j])
def test_cash_that_is_no_number_is_named(cash):
    with pytest.raises(InputError, match="must be from 0 to 90,000,000,000"):
        opened(cash)


def test_whole_numbers_and_numpy_numbers_are_cash_too():
    for cash in (1_000, np.float64(1_000), np.int64(1_000), np.float32(1_000)):
        assert opened(cash)[A_CASH] == 10**11


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"lot_size": 9.3e10}, r"lot_size=93000000000.0 of A/B must be below 90,000,000,000: .*smaller base_scale"),
        ({"minimum_notional": 1e12}, r"minimum_notional=1000000000000.0 of A/B must be below 90,000,000,000"),
    ],
)
def test_the_range_of_an_instrument_is_checked_at_the_door(rules, words):
    with pytest.raises(InputError, match=words):
        opened(instruments=(Instrument("A/B", **rules),))


def test_markets_of_two_quote_scales_are_refused():
    with pytest.raises(InputError, match=r"scales \[2, 8\]; run one engine each"):
        opened(instruments=(Instrument("A/B"), Instrument("C/D", quote_scale=2)))


@pytest.mark.parametrize(
    ("bps", "units"),
    [
        (0.0, 0),
        (10.0, 100_000),
        (7.5, 75_000),
        (0.3, 3_000),
        (1e-4, 1),
        (1e-5, 1),
        (1e-12, 1),
        (5_000.0, 50_000_000),
        (0.00012, 2),
    ],
)
def test_a_fee_rate_is_rounded_up_and_never_to_nothing(bps, units):
    assert rate_units(bps) == units
