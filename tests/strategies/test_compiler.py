"""The compiler: keys that notice every change, code that travels, and a reason for each class it leaves as it is."""

import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
from strategies import examples
from strategies.cells import cell, method
from strategies.running import Runner, both, candle

from pairsim import strategies as ps
from pairsim.errors import StrategyError
from pairsim.strategies import compiler, object_store

pytestmark = pytest.mark.usefixtures("own_cache")
ROOT = Path(__file__).resolve().parents[2]


# --- what `prepare` returns ----------------------------------------------------------------------------------------


def test_prepare_describes_the_strategy() -> None:
    code = ps.prepare(examples.Pair())
    assert (code.markets, code.outputs, code.compiled, code.reason) == (2, 4, True, "")
    assert [name for name, _ in code.indicators] == ["rsi", "macd"]
    peak = ps.prepare(examples.Peak(stop=0.5))
    assert peak.record.names == ("stop", "hard", "peak", "entries", "armed")
    assert peak.words == 5
    record = peak.initial_record()
    assert record.dtype == np.int64
    assert record[[1, 3, 4]].tolist() == [1, 0, 0]
    assert record.view(np.float64)[0] == 0.5
    assert np.isnan(record.view(np.float64)[2])


def test_arrays_take_their_length_in_the_record() -> None:
    code = ps.prepare(examples.Window())
    assert code.words == 5
    assert code.initial_record().tolist() == [4, 0, 0, 0, 0]


def test_an_initial_record_is_a_copy() -> None:
    code = ps.prepare(examples.Window())
    code.initial_record()[:] = 7
    assert code.initial_record()[0] == 4


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ps.RSI, r"write RSI\(\)"),
        (lambda: 3, "3 is no strategy"),
        (ps.Strategy, "Strategy has no method generate_signal"),
        (lambda: type("Empty", (ps.Strategy,), {})(), "Empty has no method generate_signal"),
    ],
)
def test_what_is_no_strategy_is_refused(make: Any, words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        ps.prepare(make())


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ("None", "returned None; return a dict"),
        ("{'rsi': 14}", r"indicators\(\)\['rsi'\] is 14; it must be an indicator"),
        ("{'rsi': One}", "it must be an indicator such as"),
        ("{'close': One()}", "called 'close', which is already a field of ctx"),
        ("{'prev': One()}", "already a field of ctx"),
        ("{'a b': One()}", "called 'a b'; it must be an identifier"),
        ("{'_x': One()}", "must be an identifier"),
        ("{'class': One()}", "must be an identifier"),
        ("{3: One()}", "called 3"),
        ("1 / 0", "raised ZeroDivisionError: division by zero"),
    ],
)
def test_wrong_indicators_are_refused(returned: str, words: str) -> None:
    source = (
        f"class S(ps.Strategy):\n  def indicators(self): return {returned}\n  def generate_signal(self, ctx): pass\n"
    )
    with pytest.raises(StrategyError, match=words):
        ps.prepare(cell(source)["S"]())


# --- keys ----------------------------------------------------------------------------------------------------------

HELPED = """
    LEVEL = 3.0
    NAMES = ("a", "b")
    TABLE = np.array([1.0, 2.0])
    def inner(x): return x + {inner}
    def helper(x, y={default}): return inner(x) + y
    class S(ps.Strategy):
        K = {k}
        {declared}
        def indicators(self): return {{{indicators}}}
        def twice(self, x): return x * {twice}
        def generate_signal(self, ctx):
            {comment}
            return ps.buy(helper(self.twice(ctx.close)) + LEVEL + TABLE[1] + self.K + {constant})
"""
PLAIN = {
    "inner": 1,
    "default": 2,
    "k": 1,
    "declared": "low: float = ps.param(1.0)",
    "indicators": "",
    "twice": 2,
    "comment": "pass",
    "constant": 4,
}


def key_of(**changes: Any) -> str:
    return ps.prepare(cell(HELPED.format(**PLAIN | changes))["S"]()).key


def test_the_same_class_typed_again_has_the_same_key() -> None:
    assert key_of() == key_of()
    assert key_of(comment="pass  # a comment") == key_of()


@pytest.mark.parametrize(
    "change",
    [
        {"inner": 2},
        {"default": 3},
        {"default": 2.0},
        {"k": 2},
        {"twice": 3},
        {"constant": 5},
        {"declared": "low: int = ps.param(1)"},
        {"declared": "low: float = ps.state(1.0)"},
        {"declared": "lower: float = ps.param(1.0)"},
        {"indicators": "'rsi': One()"},
        {"indicators": "'rsi': Three()"},
        {"comment": "self.low"},
    ],
)
def test_every_change_that_matters_changes_the_key(change: dict[str, Any]) -> None:
    assert key_of(**change) != key_of()


def test_limits_and_values_of_parameters_do_not_matter_to_the_key() -> None:
    assert key_of(declared="low: float = ps.param(2.0, 0.0, 9.0)") == key_of()


def test_an_edited_global_is_noticed_and_named() -> None:
    namespace = cell(HELPED.format(**PLAIN))
    strategy = namespace["S"]()
    before = ps.prepare(strategy)
    assert Runner(before, before.address()).step(candle(1.0)) == 1
    for name, value in (("LEVEL", 4.0), ("TABLE", np.array([1.0, 5.0]))):
        namespace[name] = value
        after = ps.prepare(strategy)
        assert after.key != before.key
        assert {n for n in after.frozen if repr(after.frozen[n]) != repr(before.frozen[n])} == {name}
        before = after
    runner = Runner(before, before.address())
    assert runner.signals(runner.step(candle(1.0)))[0].amount == (1 * 2 + 1) + 2 + 4.0 + 5.0 + 1 + 4


def test_an_array_changed_in_place_is_noticed() -> None:
    namespace = cell(HELPED.format(**PLAIN))
    before = ps.prepare(namespace["S"]()).key
    namespace["TABLE"][0] = 9.0
    assert ps.prepare(namespace["S"]()).key != before


def test_a_changed_closure_changes_the_key() -> None:
    assert ps.prepare(examples.closure_over(1.0)()).key != ps.prepare(examples.closure_over(2.0)()).key


def test_a_global_in_a_module_of_ones_own_is_noticed() -> None:
    module = types.ModuleType("ideas")
    exec("LEVEL = 1.0\ndef f(x): return x + LEVEL", module.__dict__)
    cls = method("return ps.buy(ideas.f(ctx.close) * ideas.LEVEL)", ideas=module)
    before = ps.prepare(cls())
    assert before.compiled
    module.LEVEL = 3.0  # type: ignore[attr-defined]
    after = ps.prepare(cls())
    assert after.key != before.key
    runner = Runner(after, after.address())
    assert runner.signals(runner.step(candle(1.0)))[0].amount == 12.0


def test_code_compiled_before_a_change_keeps_the_old_value() -> None:
    cls = method("return ps.buy(LEVEL)", LEVEL=1.0)
    before = ps.prepare(cls())
    cls.generate_signal.__globals__["LEVEL"] = 2.0
    after = ps.prepare(cls())
    amounts = [(r := Runner(c, c.address())).signals(r.step(candle()))[0].amount for c in (before, after)]
    assert amounts == [1.0, 2.0]


# --- nothing is compiled twice -------------------------------------------------------------------------------------


def test_a_class_is_compiled_once_in_a_process_and_once_on_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = compiler.compile_strategy
    monkeypatch.setattr(compiler, "compile_strategy", lambda *args: calls.append(1) or original(*args))
    first = ps.prepare(examples.Peak())
    with monkeypatch.context() as patch:
        patch.setattr(object_store, "read", lambda *_: None)  # no disk
        assert ps.prepare(examples.Peak(stop=0.5)).object_code == first.object_code
    monkeypatch.setattr(compiler, "_done", {})  # as in a fresh process
    assert ps.prepare(examples.Peak()).object_code == first.object_code
    assert len(calls) == 1


def test_a_damaged_or_foreign_file_is_as_good_as_absent(tmp_path: Path) -> None:
    code = ps.prepare(examples.Peak())
    (file,) = (tmp_path / "pairsim-strategies").iterdir()
    assert file.name == f"{code.key}.o"
    for broken in (b"", code.object_code[:-1], code.object_code[:60] + b"x" + code.object_code[61:]):
        file.write_bytes(broken)
        compiler._done.clear()
        again = ps.prepare(examples.Peak())
        assert again.compiled
        assert object_store.read(code.key, compiler.cpu_identity()) == again.object_code


def test_damaged_code_is_never_loaded() -> None:
    code = ps.prepare(examples.Peak()).object_code
    with pytest.raises(StrategyError, match="are damaged; prepare the strategy again"):
        ps.load(code[:-1])
    with pytest.raises(StrategyError, match="made for another CPU"):
        object_store.unwrap(object_store.wrap(b"code", "an abacus"), "a slide rule")


def test_a_folder_that_cannot_be_written_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(object_store.numba.config, "CACHE_DIR", str(tmp_path / "file"))
    assert ps.prepare(examples.Peak()).compiled


def test_old_files_go_when_there_are_many(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(object_store, "_MAX_FILES", 3)
    for i in range(6):
        object_store.write(f"key{i}", b"x")
    assert len(list((tmp_path / "pairsim-strategies").iterdir())) <= 4


# --- travelling ----------------------------------------------------------------------------------------------------

LOADER = """
import sys, cloudpickle, numpy as np
codes = cloudpickle.loads(sys.stdin.buffer.read())
from strategies.running import Runner, candle
answers = []
for code in codes:
    runner = Runner(code, code.address())
    values = range(code.outputs * code.markets)
    counts = [runner.step(candle(50.0 + i, volume=i) * code.markets, values) for i in range(9)]
    answers.append((counts, runner.record.tolist(), runner.out.tolist()))
sys.stdout.buffer.write(cloudpickle.dumps(answers))
"""


def in_another_process(source: str, given: bytes = b"", *, script: list[str] | None = None) -> bytes:
    done = subprocess.run(
        [sys.executable, *(script or ["-c", source])],
        input=given,
        capture_output=True,
        timeout=100,
        cwd=ROOT,
        env={**__import__("os").environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_code_runs_in_a_process_that_never_compiled() -> None:
    allocating = method(
        "x = {1.0: ctx.close}\na = [ctx.close]\na.append(2.0)\nself.n = len(a)\nreturn ps.buy(sum(a) + x[1.0])"
    )
    plain = method("x = {1.0, ctx.close}\nself.n += len(x)\nreturn ps.buy(len(x))")
    codes = [ps.prepare(cls()) for cls in (*examples.EXAMPLES, allocating, plain, ps.RSI)]
    assert [code.compiled for code in codes] == [True] * (len(codes) - 2) + [False, True]
    answers = cloudpickle.loads(in_another_process(LOADER, cloudpickle.dumps(codes)))
    for code, answer in zip(codes, answers, strict=True):
        runner = Runner(code, code.address())
        shown = [candle(50.0 + i, volume=i) * code.markets for i in range(9)]
        counts = [runner.step(markets, range(code.outputs * code.markets)) for markets in shown]
        assert (counts, runner.record.tolist(), runner.out.tolist()) == answer


SCRIPT = """
import pairsim.strategies as ps
from strategies.running import Runner, candle
LEVEL = 2.0
def helper(x):
    return x + LEVEL
class Mine(ps.Strategy):
    def generate_signal(self, ctx):
        return ps.buy(helper(ctx.close))
class Odd(ps.Strategy):
    def generate_signal(self, ctx):
        return ps.buy(len({ctx.close}))
if True:
    for cls in (Mine, Odd):
        code = ps.prepare(cls())
        runner = Runner(code, code.address())
        print(code.compiled, code.reason, runner.signals(runner.step(candle(3.0))))
"""
EXPECTED = "True  [buy(quantity=5.0)]\nFalse plain Python: line 12 builds a set [buy(quantity=1.0)]\n"


@pytest.mark.parametrize("way", ["-", "-c", "file"])
def test_classes_of_main_work_however_python_was_started(way: str, tmp_path: Path) -> None:
    file = tmp_path / "idea.py"
    file.write_text(SCRIPT)
    arguments = {"-": ["-"], "-c": ["-c", SCRIPT], "file": [str(file)]}[way]
    assert in_another_process("", SCRIPT.encode(), script=arguments).decode() == EXPECTED


def test_a_class_made_by_exec_without_any_source_works() -> None:
    namespace: dict[str, Any] = {"ps": ps}
    exec("class S(ps.Strategy):\n  def generate_signal(self, ctx):\n    return ps.buy(ctx.close)", namespace)
    runner, _ = both(ps.prepare(namespace["S"]()))
    assert repr(runner.signals(runner.step(candle(3.0)))) == "[buy(quantity=3.0)]"


# --- failures of compiled code -------------------------------------------------------------------------------------


def test_a_raise_in_compiled_code_is_minus_one_and_explained_by_one_plain_candle() -> None:
    cls = method("self.n += 1\nif self.n == 2:\n    raise ValueError(f'at {ctx.close}')")
    code = ps.prepare(cls())
    assert code.compiled
    runner = Runner(code, code.address())
    assert runner.step(candle(7.0)) == 0
    before = runner.record.copy()
    assert runner.step(candle(7.0)) == -1
    text = code.explain(before, runner.view, runner.values, runner.previous)
    assert text.splitlines()[0] == "Traceback (most recent call last):"
    assert "line 9, in generate_signal" in text
    assert text.endswith("ValueError: at 7.0\n")
    assert before[1] == 1, "explaining works on copies"


def test_what_fails_in_compiled_code_only_is_explained_as_such() -> None:
    cls = method("self.n = 2**62\nif self.n * 2 > 5: return ps.buy(1)")
    code = ps.prepare(cls())
    runner = Runner(code, code.address())
    before = runner.record.copy()
    assert runner.step(candle()) == -1
    assert "the range of 64 bits" in code.explain(before, runner.view, runner.values, runner.previous)


@pytest.mark.parametrize(
    "store",
    [
        "self.x = None",
        "self.x = (1.0, 2.0)",
        "self.x = self.window",
        "self.x = ctx.close if ctx.volume > 0 else None",
        "self.n = 1.5",
        "self.n = ctx.close",
        "self.n = 9223372036854775807 + self.n + 1",
        "self.n = np.uint64(2**63 + self.n)",
        "self.flag = 1",
        "self.flag = self.n",
        "self.flag = 0.0",
        "self.level = 2.0",
        "self.window = self.window",
    ],
)
def test_a_store_that_does_not_fit_is_an_error_in_both_and_changes_nothing(store: str) -> None:
    head = """
class S(ps.Strategy):
    level: float = ps.param(1.0)
    x: float = ps.state(0.5)
    n: int = ps.state(3)
    flag: bool = ps.state(True)
    window = ps.state([0.0, 0.0])
    def generate_signal(self, ctx):
        """
    code = ps.prepare(cell(head + store)["S"]())
    for runner in both(code):
        before = runner.record.copy()
        assert runner.step(candle(2.5, volume=0.0)) == -1
        assert np.array_equal(runner.record, before)
    assert store in code.explain(before, runner.view, runner.values, runner.previous)


def test_bounds_are_checked() -> None:
    cls = cell("""
    class S(ps.Strategy):
        window = ps.state([0.0, 0.0])
        def generate_signal(self, ctx):
            self.window[int(ctx.close)] = 1.0
    """)["S"]
    runner, _ = both(ps.prepare(cls()))
    assert [runner.step(candle(float(i))) for i in (0, 1, 2, 1000, -1, -3)] == [0, 0, -1, -1, 0, -1]
