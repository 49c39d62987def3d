"""The server of two-process scenarios: a small single-threaded child, because pytest itself must not fork."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


class TwoProcesses:
    """Hands scenarios to the server, one after the other."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE)])}
        self._server = subprocess.Popen(
            [sys.executable, "-W", "error", str(HERE / "two_processes.py")],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, scenario: str, **options: object) -> dict:
        """Run one scenario; its findings."""
        assert self._server.stdin and self._server.stdout
        self._server.stdin.write(json.dumps({"scenario": scenario, **options}) + "\n")
        self._server.stdin.flush()
        answer = self._server.stdout.readline()
        assert answer, f"the server of scenarios died: {self._server.poll()}"
        found = json.loads(answer)
        assert "failed" not in found, (
            f"{scenario} ended with {found['failed']}; its traceback is in the captured stderr"
        )
        return found

    def close(self) -> None:
        assert self._server.stdin and self._server.stdout
        self._server.stdin.close()
        self._server.wait(60)
        self._server.stdout.close()


@pytest.fixture(scope="session")
def two_processes():
    """Runs scenarios of two real processes."""
    server = TwoProcesses()
    yield server
    server.close()
