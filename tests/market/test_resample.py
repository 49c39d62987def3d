"""Resampling: equal to a naive twin, aligned to the epoch, complete when the rule says so, JIT on or off."""

import os
import subprocess
import sys

import numpy as np
import pytest

from pairsim.errors import InputError
from pairsim.market.resample import NO_CANDLE, begins_later, check_multiple, ends_with, interval_open, resample


def base_candles(times, seed=0):
    rng = np.random.default_rng(seed)
    n = len(times)
    open, close = rng.uniform(90, 110, n), rng.uniform(90, 110, n)
    high, low = np.maximum(open, close) + rng.random(n), np.minimum(open, close) - rng.random(n)
    return np.asarray(times, np.int64), open, high, low, close, rng.random(n)


def twin(columns, interval, base):
    """The rule of the module, as one would write it down."""
    time, open, high, low, close, volume = columns
    n, bars = len(time), {}
    for i in range(n):
        bars.setdefault(time[i] // interval * interval, []).append(i)
    rows = []
    for start, at in bars.items():
        seen_last = [i for i in at if base and time[i] + base == start + interval]
        later = [i for i in range(n) if time[i] >= start + interval]
        complete = min([*seen_last, *later], default=n)
        total = 0.0
        for i in at:
            total += volume[i]
        rows.append((start, open[at[0]], high[at].max(), low[at].min(), close[at[-1]], total, complete))
    return [np.array(column) for column in zip(*rows)]


@pytest.mark.parametrize("interval", [1, 2, 5, 60])
@pytest.mark.parametrize("base", [0, 1])
def test_equals_the_naive_twin_with_gaps_anywhere(interval, base):
    rng = np.random.default_rng(interval)
    times = np.sort(rng.choice(np.arange(-200, 800), 500, replace=False))
    columns = base_candles(times)
    for got, want in zip(resample(*columns, interval, base), twin(columns, interval, base), strict=True):
        np.testing.assert_array_equal(got, want)


def test_candles_are_aligned_to_the_utc_epoch_before_and_after_it():
    assert [interval_open(t, 5) for t in (-6, -5, -1, 0, 4, 5)] == [-10, -5, -5, 0, 0, 5]


def test_a_candle_is_complete_with_its_last_base_candle_or_when_a_later_one_opens():
    # Interval 3 of base 1: [0, 3) is full, [3, 6) lacks its last, [6, 9) is nothing but its last.
    bars = resample(*base_candles([0, 1, 2, 3, 4, 8]), 3, 1)
    assert bars.open_time.tolist() == [0, 3, 6]
    assert bars.complete_at.tolist() == [2, 5, 5]  # one base candle completed two
    assert resample(*base_candles([0, 1, 2, 3, 4]), 3, 1).complete_at.tolist() == [2, 5]  # 5 = not yet
    assert resample(*base_candles([0, 1, 2]), 3).complete_at.tolist() == [3]  # base unknown: only a later one tells


def test_a_longer_input_keeps_its_beginning():
    columns = base_candles(range(1_000))
    whole = resample(*columns, 7, 1)
    for n in (1, 50, 699):
        part = resample(*(column[:n] for column in columns), 7, 1)
        done = part.complete_at < n
        for got, want in zip(part, whole, strict=True):
            np.testing.assert_array_equal(got[done], want[: len(got)][done])


def test_empty_in_empty_out():
    bars = resample(*base_candles([]), 5, 1)
    assert [len(column) for column in bars] == [0] * 7


def test_no_open_candle_is_begun_by_any_and_completed_by_none():
    for time in (-(2**60), 0, 2**62):
        assert begins_later(NO_CANDLE, time, 86_400 * 10**9)
    assert not ends_with(NO_CANDLE, 0, 1, 60)


def test_equal_intervals_pass_candles_through():
    columns = base_candles(range(0, 100, 10))
    bars = resample(*columns, 10, 10)
    for got, want in zip(bars, columns):
        np.testing.assert_array_equal(got, want)
    assert bars.complete_at.tolist() == list(range(10))


@pytest.mark.parametrize(("interval", "base"), [(5, 10), (15, 10), (1, 3)])
def test_an_interval_that_base_candles_cannot_fill_is_refused_with_one_that_they_can(interval, base):
    with pytest.raises(InputError, match=r"every .* must be a whole multiple .* for example"):
        check_multiple(interval, base, name="every")
    assert check_multiple(60, 20) == 3


def test_the_kernel_gives_the_same_with_the_jit_off():
    here = os.path.abspath(__file__)
    code = (
        f"import runpy; m = runpy.run_path({here!r}); "
        "m['test_equals_the_naive_twin_with_gaps_anywhere'](5, 1); "
        "m['test_a_candle_is_complete_with_its_last_base_candle_or_when_a_later_one_opens']()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env={**os.environ, "NUMBA_DISABLE_JIT": "1"})
