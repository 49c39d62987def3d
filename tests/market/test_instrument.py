"""Instruments: defaults for markets nobody declared, and rules that cannot contradict the accounting."""

import dataclasses

import pytest

from pairsim.errors import InputError
from pairsim.market import Instrument


def test_an_undeclared_market_has_no_tick_a_lot_of_1e_8_and_no_minimum():
    market = Instrument("BTC/USDT")
    assert (market.tick_size, market.lot_size, market.minimum_notional) == (None, 1e-8, 0.0)
    assert (market.base, market.quote, market.lot_units) == ("BTC", "USDT", 1)


def test_a_lot_is_a_whole_number_of_accounting_units():
    assert Instrument("A/B", lot_size=1e-5).lot_units == 1_000
    assert Instrument("A/B", lot_size=0.1, base_scale=8).lot_units == 10_000_000
    assert Instrument("A/B", lot_size=1, base_scale=0).lot_units == 1
    with pytest.raises(InputError, match="not a whole number of units of 1e-2"):
        Instrument("A/B", lot_size=0.125, base_scale=2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"symbol": ""},
        {"symbol": 3},
        {"symbol": "A/B", "tick_size": 0.0},
        {"symbol": "A/B", "tick_size": float("nan")},
        {"symbol": "A/B", "lot_size": -1.0},
        {"symbol": "A/B", "lot_size": float("inf")},
        {"symbol": "A/B", "minimum_notional": -1.0},
        {"symbol": "A/B", "base_scale": 30},
        {"symbol": "A/B", "quote_scale": 1.5},
    ],
)
def test_impossible_rules_are_refused_by_name(wrong):
    with pytest.raises(InputError) as error:
        Instrument(**wrong)
    assert list(wrong)[-1] in str(error.value)


def test_an_instrument_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Instrument("A/B").lot_size = 1.0
