"""The kernels as plain Python give the same bits: what is written is what is compiled."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from indicators.cases import CASES, batch, random_candles

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="the JIT is off: nothing to compare with")
def test_kernels_without_jit_give_the_same_bits(tmp_path: Path) -> None:
    columns = random_candles(1_400)
    columns[:4, 300:350] = columns[3, 300]  # a market at rest
    columns[:, 900] = np.nan
    np.save(tmp_path / "columns.npy", columns)
    code = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
import numpy as np
from indicators.cases import CASES, batch
columns = np.load({str(tmp_path / "columns.npy")!r})
with np.errstate(invalid="ignore"):
    np.savez({str(tmp_path / "plain.npz")!r}, *[batch(indicator, columns) for indicator in CASES])
"""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "plain.npz") as plain:
        for indicator, name in zip(CASES, plain.files, strict=True):
            np.testing.assert_array_equal(plain[name], batch(indicator, columns), err_msg=repr(indicator))
