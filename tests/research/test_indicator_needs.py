"""Which indicators combinations need: the short way through the bytecode gives what calling each combination gives."""

import math

import numpy as np
import pytest

import pairsim as ps
from pairsim.research import indicator_needs
from pairsim.research.indicator_needs import needs_of, reads
from pairsim.research.space import make_space
from pairsim.strategies.strategy import retuned

FACTOR = 2


def widened(period: int, by: int = 1) -> int:
    return period + by


class Written(ps.Strategy):
    """Ways to write ``indicators``; each test takes one."""

    fast: int = ps.param(3, 1, 100)
    slow: int = ps.param(9, 1, 100)
    width: float = ps.param(2.0, 0.0, 9.0)
    wide: bool = ps.param(False)

    def generate_signal(self, ctx):
        return None

    def helper(self) -> int:
        return self.slow

    @property
    def half(self) -> int:
        return self.slow // 2


def plain(self):
    return {"a": ps.SMA(self.fast), "b": ps.SMA(self.slow)}


def with_arithmetic(self):
    return {"a": ps.SMA(self.fast * FACTOR + 1), "b": ps.Bollinger(widened(self.slow, by=2), self.width)}


def of_two(self):
    return {"a": ps.SMA(max(self.fast, self.slow)), "b": ps.EMA(5)}


def single(self):
    return {"a": ps.RSI(self.fast)}


def none(self):
    return {}


def with_a_branch(self):
    return {"a": ps.SMA(self.fast if self.slow > 6 else 50)}


def with_statements(self):
    period = self.fast + self.slow
    return {"a": ps.SMA(period)}


def built_up(self):
    made = {"a": ps.SMA(self.fast)}
    if self.wide:
        made["b"] = ps.SMA(self.slow)
    return made


def in_a_loop(self):
    return {f"line{k}": ps.SMA(self.fast + k) for k in range(3)}


def by_a_method(self):
    return {"a": ps.SMA(self.helper())}


def by_a_property(self):
    return {"a": ps.SMA(self.half + 1)}


def handing_itself_over(self):
    return {"a": ps.SMA((lambda this: this.slow)(self))}


def by_getattr(self):
    return {"a": ps.SMA(getattr(self, "slow"))}  # noqa: B009


SEEN = {
    plain: {"a": {"fast"}, "b": {"slow"}},
    with_arithmetic: {"a": {"fast"}, "b": {"slow", "width"}},
    of_two: {"a": {"fast", "slow"}, "b": set()},
    single: {"a": {"fast"}},
    none: {},
}
UNSEEN = (with_a_branch, with_statements, built_up, in_a_loop, by_a_method, by_a_property, handing_itself_over,
          by_getattr)  # fmt: skip


@pytest.mark.parametrize("method", SEEN)
def test_what_each_entry_reads_is_seen(method) -> None:
    assert reads(method, ["fast", "slow", "width", "wide"]) == SEEN[method]


@pytest.mark.parametrize("method", UNSEEN)
def test_what_is_not_plain_to_see_is_left_alone(method) -> None:
    assert reads(method, ["fast", "slow", "width", "wide"]) is None


@pytest.mark.parametrize("method", [*SEEN, *UNSEEN])
def test_both_ways_need_the_same(method, monkeypatch: pytest.MonkeyPatch) -> None:
    strategy = type("Case", (Written,), {"indicators": method})()
    axes = {"slow": [4, 9, 30], "wide": [True, False], "fast": [2, 5, 40]}
    space = make_space(strategy, axes, ("X",), "grid", None, 0, None, 10**6)
    calls = []

    def made(k: int) -> ps.Strategy:
        calls.append(k)
        return retuned(strategy, **space.values(k))

    short = needs_of(strategy, space, 3, 18, made)
    few = len(calls)
    monkeypatch.setattr(indicator_needs, "reads", lambda method, parameters: None)
    long = needs_of(strategy, space, 3, 18, made)
    assert few < 15 if method in SEEN else few == 15
    for k in range(15):
        one, other = ([needs.indicators[at] for at in needs.which[k] if at >= 0] for needs in (short, long))
        assert one == other
        assert short.shapes[short.shape_of[k]] == long.shapes[long.shape_of[k]]
    assert len(set(long.indicators)) == len(long.indicators)


def test_what_raises_has_no_shape() -> None:
    class Picky(Written):
        def indicators(self):
            return {"a": ps.SMA(self.fast - 3)}

    space = make_space(Picky(), {"fast": [2, 3, 10]}, ("X",), "grid", None, 0, None, 10**6)
    found = needs_of(Picky(), space, 0, 3, lambda k: retuned(Picky(), **space.values(k)))
    assert found.shape_of.tolist() == [-1, -1, 0]
    assert found.indicators == [ps.SMA(7)]
    assert np.all(found.which[:2] == -1)


def test_a_constructor_of_ones_own_is_called_for_each() -> None:
    class Own(Written):
        def __init__(self, **values):
            super().__init__(**values)
            self.slow = self.fast * 3

        def indicators(self):
            return {"a": ps.SMA(self.slow)}

    table = ps.sweep(Own, ps.synthetic("X/USDT", "1m", n=200, seed=1), {"fast": [2, 5]}, metric="total_return")
    assert [table.strategy(row).slow for row in range(2)] == [6, 15]
    assert not math.isnan(table.frame["total_return"][1])
