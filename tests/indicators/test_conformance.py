"""What every indicator promises, whichever it is: a new one joins by one line in cases.py."""

import copy
import pickle

import numpy as np
import pytest
from indicators.cases import CASES, OWN, batch, random_candles

from pairsim.errors import InputError
from pairsim.indicators import COLUMNS, Indicator
from pairsim.indicators.own_step import C_STEP
from pairsim.indicators.stream import run_steps, stream_into

every_indicator = pytest.mark.parametrize("indicator", CASES + OWN, ids=repr)
every_built_in = pytest.mark.parametrize("indicator", CASES, ids=repr)  # what NaN does elsewhere is the user's business


def streamed(indicator: Indicator, columns: np.ndarray) -> np.ndarray:
    out = np.empty((columns.shape[1], len(indicator.fields)))
    stream_into(indicator, list(columns), out)
    return out


def assert_same_bits(one: np.ndarray, other: np.ndarray) -> None:
    """Equal to the last bit; NaN equals NaN."""
    np.testing.assert_array_equal(one, other, strict=True)
    assert not (np.signbit(one) != np.signbit(other))[~np.isnan(one)].any()  # 0.0 == -0.0


@every_indicator
def test_streaming_equals_batch_bit_for_bit(indicator: Indicator) -> None:
    columns = random_candles(5_000)
    assert_same_bits(streamed(indicator, columns), batch(indicator, columns))


@every_indicator
@pytest.mark.parametrize(("level", "sigma"), [(1e8, 1e-11), (1e-9, 1e-3), (1e-3, 0.3), (100.0, 0.0)])
def test_streaming_equals_batch_at_any_price_level(indicator: Indicator, level: float, sigma: float) -> None:
    columns = random_candles(3_000, level=level, sigma=sigma)
    assert_same_bits(streamed(indicator, columns), batch(indicator, columns))


@every_indicator
def test_streaming_equals_batch_on_a_market_that_often_stands_still(indicator: Indicator) -> None:
    columns = random_candles(14_000)
    columns[:4] = np.round(columns[:4], 1)
    columns[:4, 1_000:13_000] = columns[3, 1_000]  # long enough for averages to come to rest
    assert_same_bits(streamed(indicator, columns), batch(indicator, columns))


@every_indicator
def test_streaming_equals_batch_where_prices_stick(indicator: Indicator) -> None:
    """Runs of equal values of any length, across whatever blocks a kernel works in."""
    random = np.random.default_rng(1)
    run = np.repeat(np.arange(1_000), random.integers(1, 60, 1_000))
    columns = random_candles(1_000, sigma=0.01)[:, run]
    assert_same_bits(streamed(indicator, columns), batch(indicator, columns))


@every_indicator
def test_first_value_comes_with_the_last_candle_of_the_warmup(indicator: Indicator) -> None:
    values = batch(indicator, random_candles(2_000))
    assert np.isnan(values[: indicator.warmup - 1]).all()
    assert np.isfinite(values[indicator.warmup - 1 :]).all()


@every_indicator
@pytest.mark.parametrize("less", [0, 1, 2])
def test_input_up_to_the_warmup_and_shorter_gives_nan(indicator: Indicator, less: int) -> None:
    n = max(indicator.warmup - less, 0)
    columns = random_candles(n)
    values = batch(indicator, columns)
    assert np.isfinite(values).all(axis=1).sum() == (n > 0 and less == 0)
    assert_same_bits(streamed(indicator, columns), values)


@every_indicator
def test_no_candles_give_no_values(indicator: Indicator) -> None:
    assert batch(indicator, random_candles(0)).shape == (0, len(indicator.fields))


@every_indicator
def test_longer_input_keeps_its_beginning(indicator: Indicator) -> None:
    columns = random_candles(4_000)
    whole = batch(indicator, columns)
    for n in (1, indicator.warmup, 777, 2_501):
        assert_same_bits(batch(indicator, columns[:, :n]), whole[:n])


@every_built_in
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_after_a_bad_value_it_begins_anew(indicator: Indicator, bad: float) -> None:
    holes = [0, 1, 700, 1_500, 1_501, 2_998, 2_999]
    for name in indicator.columns:
        columns = random_candles(3_000)
        columns[COLUMNS.index(name), holes] = bad
        values = batch(indicator, columns)
        assert_same_bits(streamed(indicator, columns), values)
        assert np.isnan(values[holes]).all()
        assert_same_bits(values[701:1_500], batch(indicator, columns[:, 701:1_500]))
        assert_same_bits(values[1_502:2_998], batch(indicator, columns[:, 1_502:2_998]))


@every_built_in
@pytest.mark.parametrize("hole", [0, 1, 2, 3, 40, 300, 511, 512, 1_199])
def test_one_bad_value_anywhere_is_noticed(indicator: Indicator, hole: int) -> None:
    for name in indicator.columns:
        columns = random_candles(1_200)
        columns[COLUMNS.index(name), hole] = np.nan
        values = batch(indicator, columns)
        assert np.isnan(values[hole : hole + indicator.warmup]).all()
        assert_same_bits(values[hole + 1 :], batch(indicator, columns[:, hole + 1 :]))


@every_indicator
def test_columns_that_it_does_not_read_do_not_matter(indicator: Indicator) -> None:
    columns = random_candles(1_000)
    values = batch(indicator, columns)
    for k, name in enumerate(COLUMNS):
        if name not in indicator.columns:
            columns[k] = np.nan
    assert_same_bits(batch(indicator, columns), values)
    assert_same_bits(streamed(indicator, columns), values)


@every_indicator
def test_a_candle_done_again_over_a_written_window_gives_the_same_bits(indicator: Indicator) -> None:
    """A worker that dies during a candle leaves the old state and any part of the new window."""
    n = 2_000
    columns = random_candles(n)
    columns[:4, 900:1_000] = columns[3, 900]
    random = np.random.default_rng(3)
    expected = streamed(indicator, columns)
    constants, state = indicator.constants, indicator.initial_state()
    window = random.normal(size=indicator.window_words)  # the first contents must not matter
    step = indicator.step_address()
    out = np.empty((n, len(indicator.fields)))
    for i in range(n):
        kept_state, kept_window = state.copy(), window.copy()
        one, row = columns[:, i : i + 1].copy(), np.empty((1, len(indicator.fields)))
        run_steps(step, i, constants, state, window, one, row)
        if random.random() < 0.5:
            torn = np.where(random.random(window.size) < 0.5, window, kept_window)  # some of the stores arrived
            window[:] = torn
            again = kept_state.copy()
            run_steps(step, i, constants, again, window, one, row)
            np.testing.assert_array_equal(again, state)
        out[i] = row[0]
    assert_same_bits(out, expected)


@every_indicator
def test_a_step_writes_nowhere_but_into_its_words(indicator: Indicator) -> None:
    sizes = [indicator.state_words, indicator.window_words, len(indicator.fields)]
    arena = np.full(sum(sizes) + 4 * 16, -7.5)
    starts = np.cumsum([16, *[size + 16 for size in sizes]])
    state, window, out = (arena[start : start + size] for start, size in zip(starts, sizes, strict=False))
    state[:] = indicator.initial_state()
    columns, constants = random_candles(700), indicator.constants
    step, expected = C_STEP(indicator.step_address()), batch(indicator, columns)
    for i in range(700):
        candle = np.ascontiguousarray(columns[:, i])
        assert step(i, *(array.ctypes.data for array in (constants, state, window, candle, out))) == 0
        np.testing.assert_array_equal(out, expected[i])
    for start, size in zip(starts, sizes, strict=False):
        assert (arena[start - 16 : start] == -7.5).all() and (arena[start + size : start + size + 16] == -7.5).all()
    np.testing.assert_array_equal(constants, indicator.constants)


@every_indicator
def test_output_may_be_strided_and_inputs_read_only(indicator: Indicator) -> None:
    columns = random_candles(1_500)
    expected = batch(indicator, columns)
    columns.setflags(write=False)
    wide = np.full((1_500, len(indicator.fields) + 3), 5.0)
    indicator.batch_into(list(columns), wide[:, 1 : 1 + len(indicator.fields)])
    assert_same_bits(np.ascontiguousarray(wide[:, 1 : 1 + len(indicator.fields)]), expected)
    assert (wide[:, 0] == 5.0).all() and (wide[:, -2:] == 5.0).all()


@every_built_in
def test_a_constant_market_gives_finite_or_no_values(indicator: Indicator) -> None:
    columns = np.full((5, 1_000), 0.1)
    values = batch(indicator, columns)
    assert not np.isinf(values).any()
    assert_same_bits(streamed(indicator, columns), values)
    assert (values[indicator.warmup :] == values[indicator.warmup - 1]).all() or np.isnan(values).any()


@every_indicator
def test_the_description_is_a_value(indicator: Indicator) -> None:
    twin = copy.deepcopy(indicator)
    assert twin == indicator and hash(twin) == hash(indicator) and twin is not indicator
    assert pickle.loads(pickle.dumps(indicator)) == indicator
    assert repr(indicator).endswith(")")
    with pytest.raises(AttributeError):
        indicator.period = 5  # type: ignore[attr-defined]


@every_indicator
def test_sizes_are_those_of_the_arrays(indicator: Indicator) -> None:
    assert indicator.state_words == indicator.initial_state().size
    assert indicator.constants.dtype == np.float64 and indicator.initial_state().dtype == np.float64
    assert indicator.warmup >= 1 and indicator.window_words >= 0 and len(indicator.fields) >= 1


@every_indicator
def test_wrong_shapes_are_refused(indicator: Indicator) -> None:
    columns = random_candles(10)
    with pytest.raises(InputError, match="out is float64"):
        indicator.batch_into(list(columns), np.empty((9, len(indicator.fields))))
