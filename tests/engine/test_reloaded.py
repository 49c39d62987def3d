"""Strategies of a module on disk that is edited and reloaded while they trade, as one does beside a notebook."""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest
from engine.own_ports import Sawtooth
from engine.running import until

import pairsim as ps

FIRST = """
import pairsim as ps

SHOWN = 1.0

class Shows(ps.Strategy):
    count: int = ps.state(0)

    def generate_signal(self, ctx):
        self.count += 1
        return ps.buy(quantity=1, limit=SHOWN)
"""
SECOND = """
import pairsim as ps

SHOWN = 2.0

class Shows(ps.Strategy):
    count: int = ps.state(0)
    more: float = ps.state(0.5)

    def generate_signal(self, ctx):
        self.count += 1
        return ps.buy(quantity=1, limit=SHOWN + self.more)

class New(ps.Strategy):
    def generate_signal(self, ctx):
        return ps.buy(quantity=1, limit=3.0)

class NewPlain(ps.Strategy):
    def generate_signal(self, ctx):
        _ = {ctx.close, "no machine code for this"}
        return ps.buy(quantity=1, limit=helped(4.0))

def helped(price):
    return price + 0.25

def explode():
    raise ValueError("only where it was made")

class Trap:
    def __reduce__(self):
        return explode, ()

TRAP = Trap()

class Trapped(ps.Strategy):
    def generate_signal(self, ctx):
        _ = {TRAP}
        return None
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Writes the module's text, and imports it or reloads it."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("sys.dont_write_bytecode", True)  # two edits within a second
    found: list[ModuleType] = []

    def written(text: str) -> ModuleType:
        (tmp_path / "mine_on_disk.py").write_text(text)
        importlib.invalidate_caches()
        found[:] = [importlib.reload(found[0]) if found else importlib.import_module("mine_on_disk")]
        return found[0]

    yield written
    monkeypatch.delitem(importlib.sys.modules, "mine_on_disk", raising=False)


def test_a_class_of_a_module_that_was_edited_and_reloaded_trades(module):
    mine = module(FIRST)
    with ps.Engine(ps.Trader("A/USDT", mine.Shows()), Sawtooth(n=100_000, speed=20.0)) as engine:
        engine.wait(0)

        def shown(limit: float) -> bool:
            return engine.orders.filter(pl.col("limit_price") == limit).height > 1

        until(lambda: shown(1.0), "orders of the module as it was")
        mine = module(SECOND)
        trader = engine["A/USDT"]
        trader.swap(mine.New())
        until(lambda: shown(3.0), "orders of a class the host has never seen")
        trader.swap(mine.NewPlain())
        until(lambda: shown(4.25), "orders of one in plain Python, with a function of its module")
        trader.swap(mine.Shows())
        until(lambda: shown(2.5), "orders of the class of the same name, with its new state")
        with pytest.raises(ps.errors.EngineError, match="ValueError: only where it was made"):
            trader.swap(mine.Trapped())
        assert type(trader.strategy) is mine.Shows
        before = trader.health.evaluations
        until(lambda: trader.health.evaluations > before + 2, "the run going on")
        assert trader.health.state == "active"
        assert engine.status.state == "running"
    assert engine.metrics.worker_restarts == 0
