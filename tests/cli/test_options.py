"""What may be asked of the command, and what is said to the rest: value, limit, next step, status 2, no traceback."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import pairsim
from pairsim.cli import demo
from pairsim.cli.app import app
from pairsim.store.lock import StoreLock


def _run(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def test_version_is_that_of_the_package() -> None:
    result = _run("version")
    assert (result.exit_code, result.stdout) == (0, f"pairsim {pairsim.__version__}\n")


def test_python_m_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "pairsim", "version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"pairsim {pairsim.__version__}\n", "")


def test_version_loads_no_engine() -> None:
    code = "import sys; from pairsim.cli import main; print(*{m.split('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert not {"numba", "numpy", "polars"} & set(done.stdout.split())


def test_help_names_every_option() -> None:
    text = _run("demo", "--help").stdout
    assert all(option in text for option in ("--seconds", "--markets", "--speed", "--seed", "--store", "--verbose"))


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--seconds", "-3"], ["'-3'", "above 0", "86,400", "such as 30"]),
        (["--seconds", "soon"], ["'soon'", "number of seconds"]),
        (["--seconds", "nan"], ["'nan'", "above 0"]),
        (["--seconds", "1e9"], ["'1e9'", "86,400"]),
        (["--speed", "0"], ["'0'", "above 0", "max"]),
        (["--speed", "inf"], ["'inf'", "1e9"]),
        (["--speed", "fast"], ["'fast'", "max"]),
        (["--seed", "1.5"], ["'1.5'", "whole number"]),
        (["--seed", str(2**63)], [str(2**63), "64 bits"]),
        (["--markets", "BTC"], ["'BTC'", "BASE/QUOTE"]),
        (["--markets", "BTC/USDT,,ETH"], ["'ETH'", "BASE/QUOTE"]),
        (["--markets", " , "], ["names no market", "BTC/USDT,ETH/USDT"]),
        (["--markets", "A/B,A/B"], ["'A/B'", "2 times", "once"]),
        (["--markets", "BTC/USDT,ETH/EUR"], ["EUR and USDT", "one currency"]),
        (["--markets", ",".join(f"M{k}/USDT" for k in range(101))], ["101 markets", "100", "ps.Engine"]),
    ],
)
def test_bad_value_is_told_with_limit_and_next_step(arguments: list[str], parts: list[str]) -> None:
    result = _run("demo", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"Error: {arguments[0]} ")
    assert len(result.stderr.splitlines()) == 1
    for part in parts:
        assert part in result.stderr


@pytest.mark.parametrize("arguments", [["nonsense"], ["demo", "--nonsense"], ["demo", "--seconds"], ["demo", "extra"]])
def test_what_the_command_does_not_know_ends_with_status_2(arguments: list[str]) -> None:
    result = _run(*arguments)
    assert result.exit_code == 2
    assert "Error" in result.stderr and "Traceback" not in result.stderr


def test_store_in_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    result = _run("demo", "--seconds", "1", "--store", str(tmp_path / "absent" / "run.db"))
    assert result.exit_code == 2
    assert re.search(r"^Error: store .*absent does not exist; create it or choose another", result.stderr)


def test_store_in_use_is_refused(tmp_path: Path) -> None:
    lock = StoreLock.acquire(tmp_path / "run.db")
    try:
        result = _run("demo", "--seconds", "1", "--store", str(tmp_path / "run.db"))
    finally:
        lock.release()
    assert result.exit_code == 2
    assert "in use by another engine" in result.stderr and "choose another path" in result.stderr


def test_markets_take_the_three_strategies_by_turns_and_never_more_than_the_cash() -> None:
    traders = demo.make_traders(demo.parse_markets("A/X, B/X,C/X,D/X,E/X"))
    assert [(t.name, type(t.strategy).__name__, t.every_ns) for t in traders] == [
        ("A/X", "RSI", 5 * 10**9),
        ("B/X", "Simple", 2 * 10**9),
        ("C/X", "RSI", 15 * 10**9),
        ("D/X", "RSI", 5 * 10**9),
        ("E/X", "Simple", 2 * 10**9),
    ]
    assert sum(t.strategy.weight for t in traders) <= 1.0


def test_demo_unasked_is_the_three_traders_of_the_readme() -> None:
    traders = demo.make_traders(demo.MARKETS)
    assert [(t.name, type(t.strategy).__name__, t.every_ns // 10**9, t.strategy.weight) for t in traders] == [
        ("SUI/USDT", "RSI", 5, 0.25),
        ("SOL/USDT", "Simple", 2, 0.25),
        ("BTC/USDT", "RSI", 15, 0.25),
    ]
    feed = demo.make_feed(demo.Options())
    assert (feed.interval, feed.speed, feed.seed) == (100_000_000, 60.0, demo.SEED)
