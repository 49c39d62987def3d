"""The demo as it runs, through real processes: each trader fills, what is printed adds up, it ends in order."""

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from typer.testing import CliRunner

from pairsim.cli import demo
from pairsim.cli.app import app
from pairsim.engine.status import RunState

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="live engines need Linux or macOS")
START_SECONDS = 240.0  # a first start compiles every kernel of host and workers
CONTROL = re.compile(r"\x1b")


# --- the seed ------------------------------------------------------------------------------------------------------


def test_each_trader_fills_early_and_sells_again_within_the_half_minute() -> None:
    options = demo.Options(speed=None)
    slices = int(demo.SECONDS * demo.SPEED * 10)
    engine = demo.make_engine(options, demo.make_feed(options, n=slices, lockstep=True))
    with engine:
        assert engine.wait() is RunState.FINISHED
        fills = engine.fills
    start = np.datetime64(demo.START, "ns")
    for symbol in demo.MARKETS:
        own = fills.filter(fills["trader"] == symbol)
        seconds = (own["timestamp"].to_numpy() - start) / np.timedelta64(1, "s") / demo.SPEED
        assert own["side"].to_list()[:2] == ["BUY", "SELL"]
        assert seconds[0] < 1.0, f"{symbol} fills first after {seconds[0]:.1f} s"
        assert seconds[1] < 10.0, f"{symbol} sells after {seconds[1]:.1f} s"


# --- a run in a log ------------------------------------------------------------------------------------------------


def _summary(text: str) -> dict[str, str]:
    """The labelled values of a summary, by label."""
    labels = "candles|evaluations|orders|fills|cash|equity|PnL before fees|PnL|fees|worker restarts|denied orders"
    return dict(re.findall(rf"\b({labels}) ([-+]?[\d,.]*\d)", text))


def _number(text: str) -> float:
    return float(text.replace(",", ""))


def test_run_in_a_log_has_plain_lines_and_a_summary_that_adds_up() -> None:
    result = CliRunner().invoke(app, ["demo", "--seconds", "3", "--speed", "600"])
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert not CONTROL.search(result.stdout)
    lines = result.stdout.splitlines()
    assert len([line for line in lines if " running, trading active, feed 2025-01-01 " in line]) >= 3
    end = next(i for i, line in enumerate(lines) if " of feed time, " in line)
    assert re.fullmatch(rf"pairsim demo: \S+ s at speed 600x, .+, seed {demo.SEED}, stopped", lines[end])
    told = _summary("\n".join(lines[end:]))
    rows = [
        re.fullmatch(rf"{re.escape(name)} +(\w+ \w+) +([\d,]+) +(\d+) +(\d+) +(\S+) +(\S+) +(\S+)", line.strip())
        for name in demo.MARKETS
        for line in lines[end:]
        if line.startswith(name)
    ]
    assert [row[1] for row in rows if row] == ["RSI 5s", "Simple 2s", "RSI 15s"]
    evaluations, orders, fills = ([int(_number(row[k])) for row in rows if row] for k in (2, 3, 4))
    fees, pnl = ([_number(row[k]) for row in rows if row] for k in (6, 7))
    assert min(fills) >= 1  # each of them traded
    assert sum(evaluations) == _number(told["evaluations"])
    assert (sum(orders), sum(fills)) == (_number(told["orders"]), _number(told["fills"]))
    assert sum(fees) == pytest.approx(_number(told["fees"]), abs=0.03)
    assert sum(pnl) == pytest.approx(_number(told["PnL"]), abs=0.03)
    assert _number(told["equity"]) == pytest.approx(demo.CASH + _number(told["PnL"]), abs=0.03)
    assert _number(told["PnL before fees"]) == pytest.approx(_number(told["PnL"]) + _number(told["fees"]), abs=0.03)
    assert (told["worker restarts"], told["denied orders"]) == ("0", "0")
    assert re.search(r"order to fill +\d\S* (us|ms|s) +\d\S* (us|ms|s) +\d+", result.stdout)


def test_markets_of_ones_own_in_a_store_of_ones_own_show_this_run_only(tmp_path: Path) -> None:
    store = tmp_path / "run.db"
    arguments = ["demo", "--seconds", "1.5", "--speed", "600", "--markets", "AAA/USD,BBB/USD", "--store", str(store)]
    for _ in range(2):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        told = _summary(result.stdout.partition(" of feed time, ")[2])
        rows = re.findall(r"^(?:AAA|BBB)/USD +\w+ \w+ +[\d,]+ +(\d+) +(\d+)", result.stdout, flags=re.MULTILINE)
        assert sum(int(orders) for orders, _ in rows) == _number(told["orders"]) > 0
        assert f"journal: {store}" in result.stdout
    assert store.is_file()


def test_verbose_logs_to_standard_error() -> None:
    result = CliRunner().invoke(app, ["demo", "--seconds", "0.5", "-v"])
    assert result.exit_code == 0, result.output
    assert "INFO pairsim.cli: running" in result.stderr and "INFO pairsim.cli: stopped" in result.stderr


# --- a run in a terminal -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _terminal(*arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The command in a terminal of 100 columns and 30 rows; its process and our end of the terminal."""
    ours, theirs = pty.openpty()
    inherited = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    size = {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", "COLUMNS": "100", "LINES": "30"}
    process = subprocess.Popen(
        [sys.executable, "-m", "pairsim", *arguments], stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True, env=inherited | size | environment,
    )  # fmt: skip
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _read_until(terminal: int, wanted: str, text: str = "") -> str:
    """What stands there once ``wanted`` does, or when the other side has gone."""
    deadline = time.monotonic() + START_SECONDS
    while wanted not in text or not wanted:
        ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"{wanted!r} did not come; there was {text[-2000:]!r}"
        try:
            read = os.read(terminal, 65_536)
        except OSError:  # how Linux says that nobody holds the other end
            return text
        if not read:
            return text
        text += read.decode(errors="replace")  # a read may end within a character
    return text


def test_ctrl_c_in_a_terminal_leaves_the_view_and_sums_up() -> None:
    with _terminal("demo", "--seconds", "300", "--speed", "600") as (process, terminal):
        text = _read_until(terminal, "FILLED")
        process.send_signal(signal.SIGINT)
        text = _read_until(terminal, "", text)
        assert process.wait(60) == 0
    view, _, rest = text.partition("\x1b[?1049l")
    assert "\x1b[?1049h" in view  # the view had a screen of its own
    assert "traders" in view and "channels" in view and "\x1b[?25l" in view
    assert "\x1b[?25h" in text  # and the cursor is back
    assert "stopped" in rest and "PnL before fees" in rest and "Traceback" not in text


def test_no_color_is_honoured_in_a_terminal() -> None:
    with _terminal("demo", "--seconds", "1", NO_COLOR="1") as (process, terminal):
        text = _read_until(terminal, "")
        assert process.wait(60) == 0
    codes = {code for found in re.findall(r"\x1b\[([\d;]*)m", text) for code in found.split(";")}
    assert "\x1b[?1049h" in text
    assert not codes & {str(c) for c in [*range(30, 39), *range(90, 98)]}


def test_interruption_while_starting_ends_at_once_and_leaves_no_process(tmp_path: Path) -> None:
    # An empty cache: it compiles, for long.
    marker = f"{tmp_path.name}-{os.getpid()}"
    process = subprocess.Popen(
        [sys.executable, "-m", "pairsim", "demo"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PAIRSIM_TEST_MARKER": marker},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        while "compiling kernels, first run only" not in process.stdout.readline():
            assert process.poll() is None
        _wait_for(lambda: len(_marked(marker)) > 1)  # the host has begun
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert "nothing was traded" in output and "Traceback" not in output
    _wait_for(lambda: not _marked(marker))


def _marked(marker: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get("PAIRSIM_TEST_MARKER") == marker:
                found.append(process)
    return found


def _wait_for(true, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
