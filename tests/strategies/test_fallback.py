"""What is left as plain Python, and the reason that is given: line and words of our own."""

import types
from typing import Any

import cloudpickle
import numpy as np
import pytest
from strategies import examples
from strategies.cells import cell, method
from strategies.running import Runner, candle

from pairsim import strategies as ps
from pairsim.strategies import compiler

pytestmark = pytest.mark.usefixtures("own_cache")

REASONS = {
    "x = {1, 2}\nreturn None": "line 7 builds a set",
    "\nx = {i for i in (1, 2)}": "line 8 builds a set",
    "if ctx.close in {1.0, 2.0}: return ps.close()": "line 7 builds a set",
    "x = set((1, 2))": "line 7 builds a set",
    "self.peak = 0.0\nself.top = 3": "line 8 sets self.top, which is not declared with ps.state()",
    "if self.top > 1: return None": "line 7 reads self.top, which is not declared with ps.state()",
    "if ctx.sma > 1: return None": "line 7 reads ctx.sma, which ctx does not have",
    "ctx.close = 1": "line 7 sets ctx.close; ctx cannot be changed",
    "if LOOKUP['a']: return None": "line 7 uses LOOKUP, a dict",
    "if UNKNOWN: return None": "line 7 uses UNKNOWN, which is not defined",
    "if len(f'{ctx.close}') > 3: return None": "line 7 formats text",
    "if len(str(ctx.close)) > 3: return None": "line 7 calls str()",
    "print(ctx.close)": "line 7 calls print()",
    "if random.random() > 0.5: return None": "line 7 draws random numbers; a strategy must decide the same way when a "
    "candle is repeated",
    "if np.random.rand() > 0.5: return None": "line 7 draws random numbers; a strategy must decide the same way when a "
    "candle is repeated",
    "import math\nreturn ps.buy(math.pi)": "line 7 imports a module",
    "return super().generate_signal(ctx)": "line 7 calls super()",
    "yield ps.buy(1)": "line 7 yields",
    "try:\n    x = 1 / ctx.close\nexcept ZeroDivisionError:\n    return None\nreturn ps.buy(x)": "line 9 catches "
    "ZeroDivisionError; only Exception can be caught in compiled code",
    "return 'buy'": "line 7 returns 'buy', which is no signal",
    "return [ps.buy(1)]": "line 7 returns a list; return a tuple of signals",
    "return ps.buy(1), None": "line 7 returns a tuple with None in it; fill up with ps.hold()",
    "return ()": "line 7 returns 0 signals; 1 to 4 are allowed",
    "return (ps.hold(),) * 5": "line 7 is more than the compiler takes: return (ps.hold(),) * 5",
    "return ctx.close > 1": "generate_signal returns something else than None, a signal or a tuple of signals",
    "if ctx.close > 1: return ps.buy(1), ps.cancel()\nreturn ps.buy(1)": "line 8 returns one signal, line 7 a tuple "
    "of 2; fill up with ps.hold()",
    "x = 1.0\nif ctx.close > 3: x = 'a'\nif x == 1.0: return ps.buy(1)": "line 9 changes the type of x: here a float, "
    "there text",
    "return helper(ctx.close)": "line 3 of helper() builds a set",
    "return ps.buy(weigth=1)": "line 7 is more than the compiler takes: return ps.buy(weigth=1)",
}


def random_module() -> types.ModuleType:
    return __import__("random")


@pytest.mark.parametrize("body", REASONS, ids=lambda body: body.splitlines()[-1][:40])
def test_a_fallback_names_line_and_reason(body: str) -> None:
    helper = cell("def helper(x):\n  y = x + 1\n  return ps.buy(len({y}))")["helper"]
    cls = method(body, LOOKUP={"a": 1}, random=random_module(), helper=helper)
    code = ps.prepare(cls())
    assert not code.compiled
    assert code.object_code == b""
    where = REASONS[body]
    assert code.reason == f"plain Python: {where}"


def test_an_attribute_of_the_class_is_no_state() -> None:
    source = "class Count(ps.Strategy):\n  n = 0\n  def generate_signal(self, ctx):\n    self.n += 1"
    code = ps.prepare(cell(source)["Count"]())
    assert code.reason == "plain Python: line 4 sets self.n, which is not declared with ps.state()"


def test_a_global_array_too_large_to_freeze_means_plain_python() -> None:
    cls = method("return ps.buy(TABLE[ctx.index])", TABLE=np.ones(200_000))
    reason = ps.prepare(cls()).reason
    assert reason.endswith("refers to an object of this process, such as an array of more than 1 MB")


def test_code_travels_without_the_globals_of_this_process() -> None:
    code = ps.prepare(method("return ps.buy(LEVEL)", LEVEL=2.0)())
    assert code.frozen == {"LEVEL": 2.0}
    assert cloudpickle.loads(cloudpickle.dumps(code)).frozen == {}


def test_the_reason_stands_in_the_reprs_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    cls = method("x = {1, 2}")
    assert repr(cls()) == "S()"
    code = ps.prepare(cls())
    ps.prepare(cls())
    assert [record.message for record in caplog.records] == ["S runs as plain Python: line 7 builds a set"]
    assert repr(cls()) == "S() [plain Python: line 7 builds a set]"
    assert "line 7 builds a set" in repr(code)
    assert "line 7 builds a set" in cls()._repr_html_()


def test_the_notebook_view_shows_parameters_limits_and_that_it_is_compiled() -> None:
    view = examples.Peak()._repr_html_()
    for part in ("Peak", "compiled", "stop", "0.05", "from 0.0 to 1.0"):
        assert part in view


def test_without_source_the_reason_says_so() -> None:
    namespace: dict[str, Any] = {"ps": ps}
    exec("class S(ps.Strategy):\n  def generate_signal(self, ctx):\n    return ps.buy(True)", namespace)
    reason = ps.prepare(namespace["S"]()).reason
    assert reason == "plain Python: line 3 is more than the compiler takes (the source is not at hand to say what)"


def test_an_attribute_set_in_the_constructor_means_plain_python() -> None:
    class Own(ps.Strategy):
        level = 3.0  # the class would say this, the instance says otherwise

        def __init__(self) -> None:
            super().__init__()
            self.level = 5.0

        def generate_signal(self, ctx: Any) -> Any:
            return ps.buy(self.level)

    code = ps.prepare(Own())
    assert "reads self.level, which is not declared" in code.reason
    runner = Runner(code, code.address())
    assert runner.signals(runner.step(candle()))[0].amount == 5.0


def test_a_fallback_runs_and_keeps_its_states() -> None:
    cls = method(
        "x = {1, 2}\nself.n += len(x)\nself.peak = max(self.peak, ctx.close)\n"
        "return ps.buy(self.n) if self.n > 2 else None"
    )
    code = ps.prepare(cls())
    runner = Runner(code, code.address())
    assert [runner.step(candle(3.0)), runner.step(candle(2.0))] == [0, 1]
    assert runner.fields() == {"peak": 3.0, "n": 4}


def test_whatever_the_compiler_raises_means_plain_python(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object) -> bytes:
        raise RuntimeError("an internal error, over 40 pages")

    monkeypatch.setattr(compiler, "compile_strategy", broken)
    code = ps.prepare(examples.Peak())
    assert code.reason == "plain Python: generate_signal is more than the compiler takes"
    assert Runner(code, code.address()).step(candle()) == 0
