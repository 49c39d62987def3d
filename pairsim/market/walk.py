"""Random candles: a geometric random walk whose candle k is a pure function of (seed, symbol, k) and the price before.

One random stream per symbol, addressed by counter: candle k is drawn from word k of it, for negative k too. So a
path does not depend on how it is cut into batches, on which other symbols are drawn, or on how far back it is
followed. Pure kernels, no state but the arrays they are given.

With z standard normal, s the volatility of one candle, e and e' exponential of mean 1:

    close = open exp(s z - s^2 / 2)               a martingale
    high  = open exp(s (z + sqrt(z^2 + 2 e)) / 2)
    low   = open exp(s (z - sqrt(z^2 + 2 e')) / 2)

The extremes are those of a Brownian path from 0 to z, for which P(max > m) = exp(-2 m (m - z)); that both depend on one
path is left out, they are drawn independently.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from numba import njit

from pairsim.errors import InputError
from pairsim.market.assets import daily_volume, name_hash, start_price
from pairsim.market.candle import CANDLE, candle_words
from pairsim.market.interval import DAY_NS, YEAR_NS

_NORMAL_BINS = 1_024
_EXPONENTIAL_BINS = 256  # 8 kB and 2 kB: both tables stay in the first-level cache beside the markets' state


def _normal_edges() -> npt.NDArray[np.float64]:
    """Edges of equally likely bins of a standard normal; the outermost chosen so that the variance is exactly 1."""
    inner = np.array([NormalDist().inv_cdf(i / _NORMAL_BINS) for i in range(1, _NORMAL_BINS)])
    a, b = inner[:-1], inner[1:]
    # A uniform bin [a, b] adds (a^2 + ab + b^2) / 3; the two outer bins [q, x] must add what is missing.
    missing = 3.0 * (_NORMAL_BINS - np.sum(a * a + a * b + b * b) / 3.0) / 2.0
    q = inner[-1]
    x = (-q + math.sqrt(q * q - 4.0 * (q * q - missing))) / 2.0
    return np.concatenate([[-x], inner, [x]])


def _exponential_edges() -> npt.NDArray[np.float64]:
    """Edges of equally likely bins of an exponential; the last chosen so that the mean is exactly 1."""
    inner = -np.log1p(-np.arange(_EXPONENTIAL_BINS) / _EXPONENTIAL_BINS)
    last = 2.0 * (_EXPONENTIAL_BINS - np.sum((inner[:-1] + inner[1:]) / 2.0)) - inner[-1]
    return np.concatenate([inner, [last]])


NORMAL = _normal_edges()
EXPONENTIAL = _exponential_edges()

# splitmix64 (Steele, Lea, Flood 2014), in int64: the products wrap all the same, shifts are made logical by a mask.
_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_MIX_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX_2 = 0x94D049BB133111EB - (1 << 64)
_MASK_30 = (1 << 34) - 1
_MASK_27 = (1 << 37) - 1
_MASK_31 = (1 << 33) - 1

_CHUNK = 512
_SHORT = 0.004  # volatility of a candle below which no move exceeds 2 %: z ends at 3.7, top at 4.6


@njit(cache=True, nogil=True, error_model="numpy")
def _draw(
    seeds: npt.NDArray[np.int64],
    n: int,
    z: npt.NDArray[np.float64],
    top: npt.NDArray[np.float64],
    bottom: npt.NDArray[np.float64],
    volume: npt.NDArray[np.float64],
) -> None:
    """Candles in units of their volatility: z, the path's maximum and minimum; volume around 1."""
    for q in range(n):
        bits = seeds[q]
        bits = (bits ^ ((bits >> 30) & _MASK_30)) * _MIX_1
        bits = (bits ^ ((bits >> 27) & _MASK_27)) * _MIX_2
        bits = bits ^ ((bits >> 31) & _MASK_31)
        # 22 bits for z, 16 for each extreme (a bin of a table, and where in the bin), 10 for the volume.
        i = (bits >> 54) & 1_023
        x = NORMAL[i] + (NORMAL[i + 1] - NORMAL[i]) * (((bits >> 42) & 4_095) * (1.0 / 4_096.0))
        i = (bits >> 34) & 255
        up = EXPONENTIAL[i] + (EXPONENTIAL[i + 1] - EXPONENTIAL[i]) * (((bits >> 26) & 255) * (1.0 / 256.0))
        i = (bits >> 18) & 255
        down = EXPONENTIAL[i] + (EXPONENTIAL[i + 1] - EXPONENTIAL[i]) * (((bits >> 10) & 255) * (1.0 / 256.0))
        z[q] = x
        top[q] = 0.5 * (x + math.sqrt(x * x + 2.0 * up))
        bottom[q] = 0.5 * (x - math.sqrt(x * x + 2.0 * down))
        # Trade is busy when prices move; the mean range of a Brownian path is sqrt(8 / pi) = 1.596 s.
        volume[q] = (top[q] - bottom[q]) * (1.0 / 1.5957691216057308) * (0.5 + (bits & 1_023) * (1.0 / 1_023.0))


@njit(cache=True, nogil=True, error_model="numpy")
def _to_factors(
    n: int,
    sigma: float,
    z: npt.NDArray[np.float64],
    top: npt.NDArray[np.float64],
    bottom: npt.NDArray[np.float64],
) -> None:
    """In place: z, top, bottom become close, high, low as multiples of the open."""
    drift = 0.5 * sigma * sigma
    if sigma < _SHORT:
        # All moves are below 2 %: close is exp(move) to 3e-11, high and low to 1e-6, and the loop is vectorised.
        for q in range(n):
            move, up, down = sigma * z[q] - drift, sigma * top[q], sigma * bottom[q]
            z[q] = 1.0 + move * (1.0 + move * (0.5 + move * (1.0 / 6.0 + move * (1.0 / 24.0))))
            top[q] = 1.0 + up * (1.0 + 0.5 * up)
            bottom[q] = 1.0 + down * (1.0 + 0.5 * down)
    else:
        for q in range(n):
            z[q] = math.exp(sigma * z[q] - drift)
            top[q] = math.exp(sigma * top[q])
            bottom[q] = math.exp(sigma * bottom[q])


@njit(cache=True, nogil=True, error_model="numpy")
def walk(
    words: npt.NDArray[np.int64],
    floats: npt.NDArray[np.float64],
    forward: bool,
    first: int,
    first_time: int,
    interval_ns: int,
    sigma: float,
    streams: npt.NDArray[np.int64],
    prices: npt.NDArray[np.float64],
    volumes: npt.NDArray[np.float64],
) -> None:
    """Fill records slice by slice (all markets of one time), in order of time.

    Parameters
    ----------
    words, floats : views of the CANDLE records, [slices * markets, 8].
    forward : fill with candles first, first + 1, ...; else with those that end right before candle ``first``.
    first_time : open time of candle ``first``.
    prices : per market, the open of candle ``first``. Advanced to the last close, or set back to the earliest open.
    streams, volumes : per market, its random stream and mean volume.
    """
    markets = len(streams)
    rows = len(words)
    seeds = np.empty(_CHUNK, np.int64)
    z, top, bottom, volume = np.empty(_CHUNK), np.empty(_CHUNK), np.empty(_CHUNK), np.empty(_CHUNK)
    step = 1 if forward else -1
    drawn = first if forward else first - 1  # the candle being drawn and the one being written, each with its market
    drawn_market = 0
    written, market = drawn, 0
    # Drawing does not need the price, so it goes ahead in chunks that the compiler turns into vector code.
    for begin in range(0, rows, _CHUNK):
        n = min(_CHUNK, rows - begin)
        for q in range(n):
            seeds[q] = streams[drawn_market] + drawn * _GOLDEN
            drawn_market += 1
            if drawn_market == markets:
                drawn_market = 0
                drawn += step
        _draw(seeds, n, z, top, bottom, volume)
        _to_factors(n, sigma, z, top, bottom)
        for q in range(n):
            r = (written - first) * markets + market
            if forward:
                open = prices[market]
                close = open * z[q]
                prices[market] = close
            else:
                r += rows
                close = prices[market]
                open = close / z[q]
                prices[market] = open
            words[r, 0] = market
            words[r, 1] = 0
            words[r, 2] = first_time + (written - first) * interval_ns
            floats[r, 3] = open
            floats[r, 4] = max(open * top[q], open, close)
            floats[r, 5] = min(open * bottom[q], open, close)
            floats[r, 6] = close
            floats[r, 7] = volumes[market] * volume[q]
            market += 1
            if market == markets:
                market = 0
                written += step


class Walk:
    """The random paths of some markets from one seed: candle 0 opens at the start price, others are before and after.

    Parameters
    ----------
    symbols : the markets; each has its own stream, so adding one changes none of the others.
    interval_ns : length of a candle.
    start_ns : open time of candle 0.
    volatility : standard deviation of the yearly log return (365 days).
    """

    __slots__ = ("_at", "_prices", "_sigma", "_start_ns", "_start_prices", "_streams", "_volumes", "interval_ns")

    def __init__(self, symbols: Sequence[str], interval_ns: int, start_ns: int, seed: int, volatility: float) -> None:
        assert symbols
        self.interval_ns = interval_ns
        self._start_ns = start_ns
        self._sigma = volatility * math.sqrt(interval_ns / YEAR_NS)
        self._streams = np.array([name_hash(f"{seed}/{symbol}") for symbol in symbols], np.int64)
        self._start_prices = np.array([start_price(symbol) for symbol in symbols])
        self._volumes = np.array([daily_volume(symbol) for symbol in symbols]) * (interval_ns / DAY_NS)
        self._prices = self._start_prices.copy()
        self._at = 0

    def forward(self, slices: int) -> npt.NDArray[np.void]:
        """The next ``slices`` candles of every market, slice by slice, as CANDLE records."""
        records = self._walk(slices, True, self._at, self._prices)
        self._at += slices
        return records

    def backward(self, slices: int) -> npt.NDArray[np.void]:
        """The ``slices`` candles of every market right before candle 0, oldest first."""
        return self._walk(slices, False, 0, self._start_prices.copy())

    def _walk(self, slices: int, forward: bool, first: int, prices: npt.NDArray[np.float64]) -> npt.NDArray[np.void]:
        records = np.empty(slices * len(self._streams), CANDLE)
        time = self._start_ns + first * self.interval_ns
        words, floats = candle_words(records)
        walk(words, floats, forward, first, time, self.interval_ns, self._sigma, self._streams, prices, self._volumes)
        return records


def check_volatility(volatility: float) -> float:
    """The volatility as a float.

    Raises
    ------
    InputError
        It is no number from 0 to 20.
    """
    if isinstance(volatility, bool) or not isinstance(volatility, (int, float)) or not 0.0 <= volatility <= 20.0:
        raise InputError(
            f"volatility={volatility!r}: give the yearly standard deviation of log returns, from 0 to 20 (0.6 is 60 %)"
        )
    return float(volatility)


def check_seed(seed: int) -> int:
    """The seed as an int.

    Raises
    ------
    InputError
        It is no whole number.
    """
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        raise InputError(f"seed={seed!r}: give a whole number; the same seed gives the same candles")
    return int(seed)


def check_symbols(symbols: Sequence[str]) -> tuple[str, ...]:
    """The markets' names as a tuple; one name alone is taken as one market.

    Raises
    ------
    InputError
        There are none, one is no text, or one comes twice.
    """
    names = (symbols,) if isinstance(symbols, str) else tuple(symbols)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise InputError(f'symbols={symbols!r}: give one or more market names such as ["BTC/USDT", "ETH/USDT"]')
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"symbols holds {twice[0]!r} twice: name each market once")
    return names
