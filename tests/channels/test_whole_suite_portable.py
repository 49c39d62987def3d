"""The portable path, which other systems than Linux take, passes the same tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pairsim.channels import PORTABLE

HERE = Path(__file__).resolve().parent
CONCERNED = ("test_memory.py", "test_waiting.py", "test_ring.py", "test_seqlock.py", "test_two_processes.py")


@pytest.mark.skipif(PORTABLE, reason="this is the portable run")
def test_the_portable_path_passes_the_same_suite():
    environment = {**os.environ, "PAIRSIM_PORTABLE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-rN"]
    command += [str(HERE / name) for name in CONCERNED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=HERE.parents[1])
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert " passed" in done.stdout
