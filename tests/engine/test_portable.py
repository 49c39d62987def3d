"""The portable path, which other systems than Linux take, runs the same engine: files, pipes, short sleeps."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pairsim.channels import PORTABLE

HERE = Path(__file__).resolve().parent
FEW = (
    "test_lockstep.py::test_everybody_at_once[2]",
    "test_control.py::test_a_tuned_parameter_counts_from_the_next_candle",
    "test_control.py::test_compiled_to_plain_and_back",
    "test_nothing_left.py::test_sigkill",
)
ALL = tuple(path.name for path in sorted(HERE.glob("test_*.py")) if path.name != Path(__file__).name)


@pytest.mark.skipif(PORTABLE, reason="this is the portable run")
@pytest.mark.parametrize("chosen", [FEW, pytest.param(ALL, marks=pytest.mark.soak)], ids=["few", "all"])
def test_the_portable_path_runs_the_same_engine(chosen):
    environment = {**os.environ, "PAIRSIM_PORTABLE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-rN"]
    command += [str(HERE / name) for name in chosen]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=HERE.parents[1])
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
