"""An indicator is its class and its parameters: checked, comparable, readable; and importing it compiles nothing."""

import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pairsim import indicators
from pairsim.errors import InputError
from pairsim.indicators import (
    ATR,
    EMA,
    MACD,
    RSI,
    SMA,
    Bollinger,
    HeikinAshi,
    Highest,
    Indicator,
    Lowest,
    StdDev,
    ZScore,
)

ROOT = Path(__file__).resolve().parents[2]


def test_equality_and_hash_go_by_class_and_parameters() -> None:
    assert RSI(14) == RSI() == RSI(period=14, source="close") and hash(RSI(14)) == hash(RSI())
    assert RSI(14) != RSI(15) and RSI(14) != RSI(14, source="open") and RSI(14) != SMA(14)
    assert StdDev(20) != ZScore(20) and Highest(20, "close") != Lowest(20, "close")
    assert len({RSI(14), RSI(14), RSI(np.int64(14)), SMA(14)}) == 2


@pytest.mark.parametrize(
    ("indicator", "text"),
    [
        (RSI(14), "RSI(14)"),
        (SMA(10, source="volume"), "SMA(10, source='volume')"),
        (MACD(), "MACD(12, 26, 9)"),
        (Bollinger(20, 2), "Bollinger(20, 2.0)"),
        (HeikinAshi(), "HeikinAshi()"),
        (Highest(5), "Highest(5)"),
        (Highest(5, "close"), "Highest(5, source='close')"),
    ],
)
def test_repr_is_what_one_would_write(indicator: Indicator, text: str) -> None:
    assert repr(indicator) == text and eval(text) == indicator


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RSI(1), r"RSI: period = 1 is outside 2 to 100,000"),
        (lambda: SMA(0), r"SMA: period = 0 is outside 1 to 100,000"),
        (lambda: SMA(100_001), r"SMA: period = 100001 is outside 1 to 100,000"),
        (lambda: EMA(-3), r"EMA: period = -3"),
        (lambda: RSI(14.0), r"RSI: period = 14.0 must be a whole number from 2 to 100,000"),
        (lambda: RSI("14"), r"RSI: period = '14' must be a whole number"),
        (lambda: RSI(True), r"RSI: period = True must be"),
        (lambda: RSI(None), r"RSI: period = None must be"),
        (lambda: SMA(10, source="mid"), r"source = 'mid' must be a column of a candle: open, high, low, close, volume"),
        (lambda: SMA(10, 5), r"source = 5 must be a column"),
        (lambda: MACD(26, 12), r"fast = 26 must be below slow = 12"),
        (lambda: MACD(12, 12), r"fast = 12 must be below slow = 12"),
        (lambda: MACD(12, 26, 0), r"signal = 0 is outside"),
        (lambda: Bollinger(20, -1.0), r"deviations = -1.0 is outside 0.0 to 100.0"),
        (lambda: Bollinger(20, float("nan")), r"deviations = nan must be a finite number"),
        (lambda: Bollinger(20, 10**400), r"deviations = 1000"),
        (lambda: StdDev(1), r"StdDev: period = 1"),
        (lambda: ATR(2.5), r"ATR: period = 2.5 must be a whole number"),
    ],
)
def test_a_wrong_parameter_is_refused_with_value_limit_and_next_step(make, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=message):
        make()


def test_parameters_are_plain_python_values() -> None:
    assert type(SMA(np.int32(5)).period) is int and type(Bollinger(5, np.float32(2)).deviations) is float


def test_an_annotated_attribute_that_is_no_parameter_is_refused() -> None:
    with pytest.raises(InputError, match=r"Mine\.memory: a parameter is int, float or bool"):

        class Mine(Indicator):
            memory: list[float] = []  # noqa: RUF012


@pytest.mark.parametrize("module", sorted(path.stem for path in Path(indicators.__file__).parent.glob("*.py")))
def test_examples_in_docstrings_run(module: str) -> None:
    name = "pairsim.indicators" + ("" if module == "__init__" else f".{module}")
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_importing_compiles_nothing_and_loads_nothing_heavy() -> None:
    code = """
import sys
import pairsim.indicators as ind
from numba.core.dispatcher import Dispatcher
modules = [m for name, m in sys.modules.items() if name.startswith("pairsim.indicators")]
kernels = {v for m in modules for v in vars(m).values() if isinstance(v, Dispatcher)}
assert len(kernels) > 20, len(kernels)
assert not any(k.signatures for k in kernels)
assert not {"polars", "pandas", "plotly", "ipywidgets", "talib"} & set(sys.modules)
ind.RSI(14), ind.RSI(14).constants, ind.SMA(5).initial_state(), ind.MACD().warmup  # describing neither
assert not any(k.signatures for k in kernels)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
