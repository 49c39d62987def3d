"""What the objects show of themselves: one style, and words for completion."""

import inspect
from pathlib import Path

import pytest
from engine.own_ports import Instant, Sawtooth

import pairsim as ps


class Wide(ps.Strategy):
    period: int = ps.param(14, 2, 60)
    share: float = ps.param(0.5, 0.0, 1.0)
    peak: float = ps.state(0.0)

    def generate_signal(self, ctx):
        self.peak = max(self.peak, ctx.close)
        return None


def test_a_trader_shows_markets_interval_and_parameters() -> None:
    shown = ps.Trader("BTC/USDT", Wide(period=21), every="5s")._repr_html_()
    for word in ("BTC/USDT", "every 5s", "period", "21", "from 2 to 60", "compiled", "peak"):
        assert word in shown


def test_an_engine_shows_its_traders_before_it_runs() -> None:
    engine = ps.Engine(ps.Trader("BTC/USDT", Wide(), name="<odd>"), ps.RandomFeed(seed=1))
    shown = engine._repr_html_()
    assert "&lt;odd&gt;" in shown
    assert "machine code" in shown
    assert "created" in shown
    assert "no positions" in engine.portfolio._repr_html_()


def test_a_feed_and_a_broker_of_ones_own_are_called_by_their_class() -> None:
    engine = ps.Engine(ps.Trader("BTC/USDT", Wide()), Sawtooth(), Instant(Path("ledger")))
    for shown in (repr(engine), engine._repr_html_()):
        assert "Sawtooth, Instant" in shown
        assert " object at 0x" not in shown

    class Named(Sawtooth):
        def __repr__(self) -> str:
            return "Named('of its own')"

    assert "Named('of its own'), SimBroker(" in repr(ps.Engine(ps.Trader("BTC/USDT", Wide()), Named()))
    with pytest.raises(ps.InputError, match="broker=Sawtooth has no"):
        ps.Engine(ps.Trader("BTC/USDT", Wide()), Sawtooth(), Sawtooth())


def test_a_strategy_is_called_with_its_parameters() -> None:
    parameters = inspect.signature(Wide).parameters
    assert list(parameters) == ["period", "share"]
    assert parameters["period"].default == 14
    assert str(inspect.signature(ps.Strategy)) == "()"
