"""Fixtures and manners of the whole suite: kernels cached by source, hypothesis repeatable, no process left behind."""

import contextlib
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator

import hypothesis
import psutil
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]


# --- numba's disk cache --------------------------------------------------------------------------------------------
# It lives in a folder named by the sources, because a cached kernel does not notice an edit in another file. Set before
# any test module imports numba, and inherited by every process that a test starts.


def _source_hash() -> str:
    digest = hashlib.sha256()
    for path in sorted((ROOT / "pairsim").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _kernel_cache() -> pathlib.Path:
    """The cache folder of these sources; those of sources not tested for a day are removed."""
    here = pathlib.Path(tempfile.gettempdir())
    mine = here / f"pairsim-numba-{_source_hash()}"
    mine.mkdir(exist_ok=True)
    os.utime(mine)
    for folder in here.glob("pairsim-numba-*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_mtime < time.time() - 86_400:
                shutil.rmtree(folder, ignore_errors=True)
    return mine


if "NUMBA_CACHE_DIR" not in os.environ:
    os.environ["NUMBA_CACHE_DIR"] = str(_kernel_cache())

# Python's own cache too: where it is forbidden, each of some hundred processes compiles all of pairsim's sources anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

_ANY_ENGINE = """
import pairsim as ps
ps.Engine(ps.Trader("A/USDT", ps.strategies.RSI()), ps.RandomFeed(speed=None, n=1)).start().wait()
"""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Compile once what every engine needs, before several processes want it. If it fails, tests will say so."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run([sys.executable, "-c", _ANY_ENGINE], stderr=subprocess.DEVNULL, timeout=300)


# --- hypothesis ----------------------------------------------------------------------------------------------------
# The same examples in every run, so a failure on one machine is a failure on all. No deadline: the first example of a
# kernel pays for its compilation.

hypothesis.settings.register_profile(
    "suite", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("search", parent=hypothesis.settings.get_profile("suite"), derandomize=False)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


# --- notebooks -----------------------------------------------------------------------------------------------------


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Notebooks are executed with their own warnings: the kernels' are Jupyter's, not ours."""
    for item in items:
        if item.path.suffix == ".ipynb":
            item.add_marker(pytest.mark.filterwarnings("default"))


# --- fixtures ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """The folder of real market data beside the project; a test that needs it skips where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real market data (../shared/data) is not on this machine")
    return folder


# --- no process left behind ----------------------------------------------------------------------------------------
# Every process that a test starts inherits this variable, however far it strays from us. The run fails if one is alive
# ten seconds after the last test. (pairsim promises two; that is for the tests of it, which give a busy machine more.)

_MARKER = "PAIRSIM_TEST_SESSION"
_SHARES = "PYTEST_XDIST_WORKER" in os.environ  # who hands tests out to processes looks when all of those have ended
if not _SHARES:
    os.environ[_MARKER] = uuid.uuid4().hex
_ENDS_WITH_US = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")


def _survivors() -> Iterator[psutil.Process]:
    descendants = set(psutil.Process().children(recursive=True))
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            ours = process in descendants or process.environ().get(_MARKER) == os.environ[_MARKER]
            if ours and not any(name in part for part in process.cmdline() for name in _ENDS_WITH_US):
                yield process


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run, and name and end what is left, if a test left a process behind."""
    if _SHARES:
        return
    _, alive = psutil.wait_procs(list(_survivors()), timeout=10)
    left = []
    for process in alive:
        with contextlib.suppress(psutil.Error):
            left.append(f"{process.pid} {process.name()}: {' '.join(process.cmdline())[:200]}")
            process.kill()
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        session.config.stash[_LEFT] = left


_LEFT = pytest.StashKey[list[str]]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name the processes that outlived the tests."""
    for line in config.stash.get(_LEFT, []):
        terminalreporter.write_line(f"LEFT BEHIND: process {line}", red=True)
