"""An engine in a script, a command, on standard input; one beside another; before its start and after its end."""

import gc
import weakref

import pytest
from engine.examples import Counting
from engine.lockstep import assert_same, backtested, left_by
from engine.running import CANDLES, finish, output_of, python, until

import pairsim as ps

RUN = """
with ps.Engine(ps.Trader("BTC/USDT", Dip()), ps.ReplayFeed(bars, speed=None, lockstep=True)) as engine:
    state = engine.wait(240)
statuses = engine.orders["status"].unique().to_list()
print(state, engine.status.state, engine["BTC/USDT"].compiled, engine.fills.height, statuses)
"""
EXPECTED = "finished stopped True 133 ['FILLED']"


def endless(seed: int = 1, **options) -> ps.RandomFeed:
    """Candles that do not end, slow enough to look on."""
    return ps.RandomFeed("100ms", seed=seed, speed=options.pop("speed", 100.0), start="2025-01-01", **options)


@pytest.fixture(scope="module")
def bars():
    return ps.synthetic("BTC/USDT", "1m", n=300, seed=3)


# --- where a script lives --------------------------------------------------------------------------------------------


def test_a_class_written_in_a_command_trades(tmp_path):
    assert output_of(python("-c", CANDLES + RUN, folder=tmp_path)) == EXPECTED


def test_a_class_written_on_standard_input_trades(tmp_path):
    assert output_of(python("-", text=CANDLES + RUN, folder=tmp_path)) == EXPECTED


def test_a_script_needs_no_main_guard_and_finds_the_modules_beside_it(tmp_path):
    (tmp_path / "beside.py").write_text(CANDLES)
    script = tmp_path / "script.py"
    script.write_text("from beside import Dip, bars, ps\n" + RUN)
    assert output_of(python(str(script))) == EXPECTED


def test_an_exception_in_the_script_ends_the_run_and_passes_through(tmp_path):
    text = CANDLES + RUN.replace("state = engine.wait(240)", "engine.wait(240); raise KeyError('mine')")
    done = python("-c", text, folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("KeyError: 'mine'")
    assert "During handling" not in done.stderr


# --- the life of a handle --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ended(bars):
    """An engine used up: finished, then stopped twice."""
    engine = ps.Engine(ps.Trader("BTC/USDT", Counting()), ps.ReplayFeed(bars, speed=None, lockstep=True))
    engine.start()
    finish(engine)
    engine.stop()
    engine.stop()
    yield engine
    engine.stop()


def test_everything_is_readable_after_the_stop(ended, bars):
    want = backtested([ps.Trader("BTC/USDT", Counting())], bars)
    assert_same(left_by(ended), want)
    assert (ended.status.state, ended.status.trading, ended.status.candles) == ("stopped", "active", 300)
    assert ended.status.fills == len(want.fills) == ended.metrics.fills
    assert ended.status.open_orders == 0
    assert ended.metrics.evaluated == 300
    assert ended.metrics.order_to_fill.samples > 0
    assert ended["BTC/USDT"].health.evaluations == 300
    assert "stopped" in repr(ended)
    for shown in (ended, ended.portfolio, ended["BTC/USDT"]):
        assert "<" in shown._repr_html_()


def test_it_cannot_be_started_again(ended):
    with pytest.raises(ps.errors.EngineError, match="is stopped: an engine runs once, make a new one"):
        ended.start()


@pytest.mark.parametrize("command", ["pause", "resume", "halt", "unhalt", "flatten"])
def test_commands_after_the_stop_say_so(ended, command):
    with pytest.raises(ps.errors.EngineError, match=f"{command} needs a running engine; this one is stopped"):
        getattr(ended, command)()


def test_commands_of_a_trader_after_the_stop_say_so(ended):
    trader = ended["BTC/USDT"]
    for command in (trader.pause, trader.resume, lambda: trader.tune(hold=3), lambda: trader.swap(Counting())):
        with pytest.raises(ps.errors.EngineError, match="this one is stopped"):
            command()
    assert trader.strategy.hold == 2


def test_before_the_start(bars):
    engine = ps.Engine(ps.Trader("BTC/USDT", Counting()), ps.ReplayFeed(bars), cash=5_000)
    assert engine.status.state == "created"
    assert (engine.portfolio.cash, engine.portfolio.equity) == (5_000.0, 5_000.0)
    assert engine.portfolio.positions["quantity"].to_list() == [0.0]
    assert engine.metrics.candles == 0
    assert engine["BTC/USDT"].health.state == "active"
    assert "created" in repr(engine)
    for shown in (engine, engine.portfolio, engine["BTC/USDT"]):
        assert "<" in shown._repr_html_()
    with pytest.raises(ps.errors.EngineError, match=r"not started; call start\(\) first"):
        engine.wait(1)
    for name in ("orders", "fills", "equity"):
        with pytest.raises(ps.errors.EngineError, match=r"not started.*call start\(\)"):
            getattr(engine, name)
    with pytest.raises(ps.errors.EngineError, match=r"halt needs a running engine; call start\(\) first"):
        engine.halt()
    engine.stop()
    with pytest.raises(ps.errors.EngineError, match="this engine is stopped"):
        engine.start()


def test_an_unknown_trader_is_named_with_those_there_are(ended):
    with pytest.raises(ps.errors.InputError, match="no trader is called 'ETH/USDT'; this engine has 'BTC/USDT'"):
        ended["ETH/USDT"]


# --- while it runs ---------------------------------------------------------------------------------------------------


def test_one_engine_beside_another(bars):
    """Each has its own processes, money and journal; ending one does not touch the other."""
    first = ps.Engine(ps.Trader("BTC/USDT", Counting()), endless(), cash=1_000)
    with first.start():
        assert first.wait(0) == "running"
        second = ps.Engine(ps.Trader("BTC/USDT", Counting()), ps.ReplayFeed(bars, speed=None, lockstep=True))
        with second:
            finish(second)
            assert_same(left_by(second), backtested([ps.Trader("BTC/USDT", Counting())], bars))
        assert second.status.state == "stopped"
        before = first.status.candles
        until(lambda: first.status.candles > before + 10, "candles after the other engine has ended")
        assert first.status.state == "running"
        with pytest.raises(ps.errors.EngineError, match="this engine is running: an engine runs once"):
            first.start()
    assert first.status.state == "stopped"


def test_commands_right_after_the_start_wait_for_the_run():
    with ps.Engine(ps.Trader("BTC/USDT", Counting()), endless(seed=2)) as engine:
        assert repr(engine)
        assert engine.metrics.candles >= 0
        assert engine["BTC/USDT"].health.errors == 0
        assert engine.halt() == 0
        assert engine.status.state == "running"
        assert engine.status.trading == "halted"


def test_a_stop_right_after_the_start_is_clean():
    engine = ps.Engine(ps.Trader("BTC/USDT", Counting()), endless(seed=3)).start()
    engine.stop()
    assert engine.status.state == "stopped", engine.status
    assert (engine.portfolio.cash, engine.status.candles) == (100_000.0, 0)
    assert engine._process.poll() is not None
    with pytest.raises(ps.errors.EngineError, match="stopped before it ran"):
        engine.fills


def test_a_handle_nobody_holds_ends_its_run():
    engine = ps.Engine(ps.Trader("BTC/USDT", Counting()), endless(seed=4)).start()
    engine.wait(0)
    process, gone, folder = engine._process, weakref.ref(engine), engine._path.parent
    assert folder.is_dir()
    del engine
    gc.collect()
    assert gone() is None
    assert process.poll() is not None
    assert not folder.exists()
