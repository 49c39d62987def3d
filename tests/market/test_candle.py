"""The candle record: 64 bytes, its words where the constants say."""

import subprocess
import sys

import numpy as np

from pairsim.market import CANDLE, CANDLE_WORDS, candle


def test_the_record_is_64_bytes_and_its_words_stand_where_the_constants_say():
    assert CANDLE.itemsize == 64 == 8 * CANDLE_WORDS
    records = np.zeros(3, CANDLE)
    for word, name in enumerate(CANDLE.names):
        assert getattr(candle, name.upper()) == word
        records[name] = word
    words, floats = candle.candle_words(records)
    assert words[1, :3].tolist() == [0, 1, 2] and floats[1, 3:].tolist() == [3.0, 4.0, 5.0, 6.0, 7.0]
    words[2, candle.OPEN_TIME] = 99
    assert records["open_time"][2] == 99


def test_what_a_worker_imports_of_the_market_loads_no_polars():
    code = (
        "import sys, pairsim.market, pairsim.market.candle, pairsim.market.interval, pairsim.market.resample, "
        "pairsim.market.walk, pairsim.market.frames, pairsim.market.synthetic, pairsim.feeds\n"
        "assert not {'polars', 'pandas', 'pyarrow', 'plotly', 'ipywidgets'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
