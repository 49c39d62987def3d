"""Processes of a run are killed: what must go on goes on exactly, what cannot fails closed, and nothing is left behind.

The long campaigns are marked ``kill`` (make kill).
"""

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import psutil
import pytest
from engine.killing_mutants import MUTANTS, mutated
from engine.killing_proof import Proof
from engine.killing_run import Left, Machine, kill_over, record_of
from engine.killing_scenes import SCENES, failures, swaps
from engine.killing_stage import Stage
from engine.killing_steps import why_not
from engine.killing_traders import SYMBOLS, Couple, Deadly, Maker, Marker, MarkerPlain, Scribe, Staged, hundred
from engine.running import ROOT, left_after, python, until

import pairsim as ps
from pairsim.engine.arena import Sizes
from pairsim.errors import EngineDied, EngineError
from pairsim.market.interval import parse_interval

steps = pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")
SECONDS = 2.0  # in which all that a run started has ended


def random_run(**options: object) -> ps.Engine:
    """Three traders on random candles, a thousand slices a second."""
    traders = [ps.Trader(symbol, Marker(beat=3)) for symbol in SYMBOLS[:3]]
    return ps.Engine(traders, ps.RandomFeed("100ms", speed=100.0, seed=4), workers=2, **options)  # type: ignore[arg-type]


def gone(processes: list[psutil.Process]) -> bool:
    """Whether all of these end within the time that is promised."""
    return not left_after(processes, SECONDS)


# -- the host and the zygote -----------------------------------------------------------------------------------------


def test_a_host_that_is_killed_takes_everything_with_it_and_the_handle_says_so() -> None:
    with random_run() as engine:
        engine.wait(0.3)
        machine = Machine(engine)
        processes = machine.processes()
        assert len(processes) == 4, processes
        machine.host.kill()
        assert gone(processes)
        until(lambda: engine.status.state == "failed", "the handle sees it")
        assert "the host process has ended (exit status -9)" in engine.status.error
        with pytest.raises(EngineDied, match="exit status -9"):
            engine.halt()
        assert engine.portfolio.cash > 0
        assert engine.fills.height <= engine.orders.height, "what was journalled can be read"
    assert engine.status.state == "failed"


def test_a_host_that_hangs_is_killed_by_stop_which_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = random_run().start()
    engine.wait(0.3)
    machine = Machine(engine)
    processes = machine.processes()
    machine.host.suspend()
    monkeypatch.setattr("pairsim.engine.engine.ANSWER_SECONDS", 0.5)
    with pytest.raises(EngineError, match=r"did not answer 'stop' within 0\.5 s"):
        engine.stop()
    assert gone(processes)
    assert engine.status.state == "failed"
    engine.stop()


def test_a_zygote_that_is_killed_ends_trading_and_the_run_says_why() -> None:
    with random_run() as engine:
        engine.wait(0.3)
        machine = Machine(engine)
        processes = machine.processes()
        zygote = machine.named("pairsim-zygote")
        assert zygote is not None
        zygote.kill()
        until(lambda: engine.status.state == "failed", "the run fails")
        assert "pairsim-zygote" in engine.status.error
        assert "stop() this engine and start another" in engine.status.error
        assert engine.status.trading == "halted"
        assert gone(processes[1:]), "the workers ended with it"
        assert machine.host.is_running(), "the host still answers"
        orders = engine.orders
        with pytest.raises(EngineError, match="pairsim-zygote"):
            engine[SYMBOLS[0]].pause()
        engine.stop()
        assert gone(processes)
        assert engine.orders.height >= orders.height
        assert conserved(engine)
        assert engine.status.state == "failed"


def test_a_zygote_that_is_killed_while_the_run_starts_is_an_error_of_the_start() -> None:
    engine = random_run().start()
    host = psutil.Process(engine._process.pid)  # type: ignore[union-attr]
    until(host.children, "there is a zygote", seconds=60)
    processes = [host, *host.children()]
    processes[1].kill()
    with pytest.raises(EngineError, match="pairsim-zygote"):
        engine.wait()
    assert gone(processes)
    engine.stop()


# -- commands to a worker that is dead -------------------------------------------------------------------------------


def test_commands_are_done_although_the_worker_is_dead_when_they_come() -> None:
    """The zygote stands still, so that the worker is dead for as long as the commands take to arrive."""
    with random_run() as engine:
        engine.wait(0.3)
        machine = Machine(engine)
        zygote = machine.named("pairsim-zygote")
        assert zygote is not None
        trader, second = engine[SYMBOLS[0]], engine[SYMBOLS[1]]
        for _ in range(2):
            killed = [machine.named(f"pairsim-worker-{w}") for w in range(2)]
            zygote.suspend()
            for worker in killed:
                assert worker is not None
                worker.kill()
            time_to_go = _later(0.3, zygote.resume)
            trader.swap(Maker(beat=4))
            trader.tune(beat=3)
            trader.swap(Marker(beat=5))
            second.pause()
            time_to_go()
        until(lambda: second.health.state == "paused", "the second trader is silent")
        before = trader.health.evaluations
        until(lambda: trader.health.evaluations > before, "the first trader goes on")
        until(lambda: engine.metrics.worker_restarts >= 4, "the second worker is replaced as well")
        assert engine.status.error == ""


def _later(seconds: float, act: Callable[[], None]) -> Callable[[], None]:
    """Do something in a while, on another thread; call what is returned to wait for it."""
    timer = threading.Timer(seconds, act)
    timer.start()
    return timer.join


def test_stop_waits_for_the_successor_of_a_worker_that_was_just_killed() -> None:
    with random_run() as engine:
        engine.wait(0.3)
        machine = Machine(engine)
        worker = machine.named("pairsim-worker-0")
        assert worker is not None
        worker.suspend()
        until(lambda: machine.in_hand(0) > 0, "there are candles that only a successor can take")
        worker.kill()
        engine.stop()
        metrics = engine.metrics
        assert not [name for name, channel in metrics.channels.items() if channel["depth"]]
        assert metrics.worker_restarts == 1
        assert engine.status.state == "stopped"


def test_a_worker_killed_while_the_run_starts_is_replaced() -> None:
    with random_run() as engine:
        host = psutil.Process(engine._process.pid)  # type: ignore[union-attr]

        def worker() -> list[psutil.Process]:
            return [p for p in host.children(recursive=True) if p.cmdline()[:1] == ["pairsim-worker-1"]]

        until(worker, "there is a worker", seconds=100)
        worker()[0].kill()
        assert engine.wait(0.3) == "running"
        assert engine.metrics.worker_restarts == 1
        until(lambda: engine.metrics.orders > 10, "all trade")


# -- what a strategy does to its own process -------------------------------------------------------------------------


@pytest.mark.parametrize(("how", "words"), [(0, "exit status 3"), (1, "SIGSEGV")])
def test_a_strategy_that_ends_its_worker_twice_at_a_candle_fails_alone(how: int, words: str) -> None:
    bars = ps.synthetic(SYMBOLS[:1], "1m", n=200, seed=8)
    neighbours = [
        ps.Trader(SYMBOLS[0], MarkerPlain(beat=3), name="before"),
        ps.Trader(SYMBOLS[0], MarkerPlain(beat=4), every="2m", name="behind"),
        ps.Trader(SYMBOLS[0], Maker(beat=4), name="compiled"),
    ]
    deadly = ps.Trader(SYMBOLS[0], Deadly(how=how), name="deadly")

    def run(traders: list[ps.Trader]) -> tuple[ps.Engine, Left]:
        with ps.Engine(traders, ps.ReplayFeed(bars, speed=None, lockstep=True), workers=1) as engine:
            assert engine.wait(240) == "finished"
            return engine, Left.by(engine)

    _, alone = run(neighbours)
    engine, beside = run([neighbours[0], neighbours[1], neighbours[2], deadly])
    assert alone.orders.height > 50
    beside.assert_equals(alone, traders=3)
    assert engine.metrics.worker_restarts == 2
    health = engine["deadly"].health
    assert (health.state, health.errors, health.evaluations) == ("failed", 1, 39)
    assert f"ended with {words} twice" in health.message


# -- control records are handled exactly once ------------------------------------------------------------------------

PARTS = 7


def controlled(folder: Path, disturb: Callable[[Machine], None]) -> Left:
    """A lockstep replay with a control record or more before each of its parts; ``disturb`` is called around them."""
    bars = ps.synthetic(SYMBOLS[:2], "1m", n=70 * PARTS, seed=2)
    traders = [
        ps.Trader(SYMBOLS[0], Marker(beat=3), name="a"),
        ps.Trader(SYMBOLS[0], Maker(beat=3), every="2m", name="b"),
        ps.Trader((SYMBOLS[1], SYMBOLS[0]), Couple(beat=4), name="c"),
    ]
    folder.mkdir()
    with ps.Engine(traders, Staged(bars, PARTS, folder), ps.SimBroker(latency="30s"), workers=1) as engine:
        a, b, c = (engine[name] for name in "abc")
        controls: list[list[Callable[[], None]]] = [
            [lambda: a.tune(beat=5), lambda: b.pause()],
            [lambda: a.swap(Maker(beat=2)), lambda: c.tune(beat=2)],
            [lambda: a.tune(beat=4), b.resume],
            [lambda: c.swap(Couple(beat=3)), lambda: c.tune(beat=5), lambda: a.swap(Marker(beat=4))],
            [lambda: b.swap(Marker(beat=6)), a.pause, c.pause, c.resume],
            [a.resume, lambda: b.swap(Maker(beat=3)), lambda: a.tune(beat=2)],
        ]
        engine.wait(0)
        machine = Machine(engine)
        for part, acts in enumerate(controls, 1):
            machine.until(lambda part=part: engine.status.candles == 140 * part, f"part {part} is done")  # type: ignore[misc]
            engine.pause()
            (folder / str(part)).touch()
            for act in acts:
                disturb(machine)
                act()
            disturb(machine)
            engine.resume()
            disturb(machine)
        assert engine.wait(240) == "finished"
        assert engine.metrics.duplicates == 0
        return Left.by(engine)


def test_control_records_are_handled_once_whenever_the_worker_is_killed(tmp_path: Path) -> None:
    undisturbed = controlled(tmp_path / "undisturbed", lambda _: None)
    assert undisturbed.orders.height > 300
    chance, kills = random.Random(6), [0]

    def shoot(machine: Machine) -> None:
        """At once, without waiting for the successor: the next command meets a worker that is dead or beginning."""
        wait = chance.uniform(0.0, 0.02)

        def shot() -> bool:
            worker = machine.named("pairsim-worker-0")
            time.sleep(wait)
            if worker is not None:
                with contextlib.suppress(ProcessLookupError):  # the last one shot, which had not quite gone
                    os.kill(worker.pid, signal.SIGKILL)
                    return True
            return False

        machine.until(shot, "the worker has a process")
        kills[0] += 1

    controlled(tmp_path / "disturbed", shoot).assert_equals(undisturbed)
    assert kills[0] > PARTS


# -- campaigns -------------------------------------------------------------------------------------------------------

ROOMY, TIGHT = Sizes(), Sizes(candles=8, orders=1, gate=1, broker=1, credits=2)


def scribes() -> list[ps.Trader]:
    """Forty traders whose orders are the log of their evaluations."""
    return [
        ps.Trader(
            SYMBOLS[i % 5],
            Scribe(beat=(20, 50, 150, 400)[i % 4], taker=i % 3 == 0),
            every=(None, "3m")[i % 2],
            name=str(i),
        )
        for i in range(40)
    ]


@pytest.mark.kill
@pytest.mark.parametrize(("workers", "sizes"), [(1, ROOMY), (3, ROOMY), (2, TIGHT)], ids=["one", "three", "tight"])
def test_hundreds_of_kills_change_nothing_of_a_lockstep_replay(workers: int, sizes: Sizes, tmp_path: Path) -> None:
    slices, count = 1_505, 300
    bars = ps.synthetic(SYMBOLS, "1m", n=slices, seed=12)

    def replay(feed: ps.ReplayFeed | Staged, workers: int, sizes: Sizes) -> ps.Engine:
        return ps.Engine(hundred(), feed, ps.SimBroker(latency="30s", fee_bps=2), workers=workers, sizes=sizes)

    with replay(ps.ReplayFeed(bars, speed=None, lockstep=True), 2, ROOMY) as engine:
        assert engine.wait(300) == "finished"
        undisturbed = Left.by(engine)
    feed = Staged(bars, count + 1, tmp_path)
    with replay(feed, workers, sizes) as engine:
        engine.wait(0)
        kills = kill_over(Machine(engine), feed, seed=workers)
        assert engine.wait(300) == "finished"
        assert engine.metrics.worker_restarts == count
        assert engine.metrics.duplicates == 0
        assert sum(hand > 0 for hand in kills.in_hand) > count // 5
        Left.by(engine).assert_equals(undisturbed)


@pytest.mark.kill
@pytest.mark.parametrize("sizes", [ROOMY, TIGHT], ids=["roomy", "tight"])
def test_hundreds_of_kills_in_a_free_run_lose_and_double_nothing(sizes: Sizes) -> None:
    """Decisions depend on candles, what is remembered of the portfolio on decisions: so all can be recomputed."""
    candles, count = 60_000, 300
    bars = ps.synthetic(SYMBOLS, "1m", n=candles, seed=3)
    feed = ps.ReplayFeed(bars, speed=60.0 * candles / 40.0)  # in 40 s, if nothing dies
    chance = random.Random(9)
    with ps.Engine(scribes(), feed, ps.SimBroker(fee_bps=2), cash=10_000_000, workers=2, sizes=sizes) as engine:
        engine.wait(0)
        machine = Machine(engine)
        in_hand = []
        while len(in_hand) < count and engine.status.state == "running":  # a busy machine replaces fewer in 40 s
            time.sleep(chance.uniform(0.0, 0.03))
            worker = chance.randrange(2)
            in_hand.append(machine.kill(worker, chance, lambda: engine.status.state != "running"))
        assert engine.wait(300) == "finished"
        metrics = engine.metrics
        assert (metrics.worker_restarts, metrics.duplicates) == (len(in_hand), 0)
        assert len(in_hand) > count // 10
        assert sum(hand > 0 for hand in in_hand) > len(in_hand) // 5
        assert engine.status.candles == 5 * candles
        assert conserved(engine)
        orders = engine.orders.filter(pl.col("n").is_not_null())
        assert orders.height > 1_000
        assert not orders.select("trader", "n", "signal").is_duplicated().any()
        for t, trader in enumerate(scribes()):
            mine = orders.filter(pl.col("trader") == trader.name).sort("n")
            fault = retold(engine, t, trader, bars.filter(pl.col("symbol") == trader.markets[0]), mine)
            assert not fault, f"{trader}: {fault}"


def retold(engine: ps.Engine, t: int, trader: ps.Trader, bars: pl.DataFrame, orders: pl.DataFrame) -> str:
    """What is wrong with a scribe's state and orders, by its candles and what its orders say they saw."""
    base, interval = parse_interval("1m"), trader.every_ns or parse_interval("1m")
    opened = bars["timestamp"].to_physical().to_numpy()
    last = (opened + base) % interval == 0
    closes, times = bars["close"].to_numpy()[last], opened[last] + base
    strategy = trader.strategy
    assert isinstance(strategy, Scribe)
    told = {
        row["timestamp"]: row for row in orders.with_columns(pl.col("timestamp").to_physical()).iter_rows(named=True)
    }
    if len(told) != orders.height:
        return "two decisions on one candle"
    prices = seen = 0.0
    written = 0
    for close, moment_ns in zip(closes.tolist(), times.tolist(), strict=True):
        prices = prices * 0.5 + close
        row = told.get(moment_ns)
        hit = int(close * 1e6) % strategy.beat == 0
        if row is not None and not hit:
            return f"an order at {moment_ns} that the candle does not call for"
        if row is None and hit and not strategy.taker:
            return f"no order at {moment_ns}, where the candle calls for one"
        if row is None:
            continue
        held = row["position_quantity"] * 7.0 + row["position_average_price"]
        seen = seen * 0.5 + row["cash"] * 0.25 + row["equity"] + held
        written += 1
        if strategy.taker and (row["side"] == "BUY") != (written % 2 == 1):
            return f"the order at {moment_ns} has the side of another one"
    state = record_of(engine, t)
    expected = (prices, seen, len(closes), written)
    found = (float(state["prices"]), float(state["seen"]), int(state["candles"]), int(state["orders"]))
    return "" if found == expected else f"state {found} instead of {expected}"


@pytest.mark.kill
def test_a_run_on_the_portable_path_is_killed_as_well() -> None:
    done = python(
        "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests/engine/test_exactly_once.py", "-k", "fifty",
        folder=ROOT, environment={"PAIRSIM_PORTABLE": "1", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]


@steps
@pytest.mark.kill
@pytest.mark.parametrize("scene", [swaps, failures])
def test_killed_behind_any_instruction_of_python_a_worker_is_continued_exactly(scene: Callable[[], Stage]) -> None:
    proof = Proof.of(scene)
    memories = proof.kill_everywhere()
    wrong = {i: fault for i, memory in enumerate(memories) if (fault := proof.recover(memory))}
    assert not wrong, f"{len(wrong)} of {len(memories)}, such as {next(iter(wrong.items()))}"


@steps
@pytest.mark.kill
@pytest.mark.parametrize("name", SCENES)
def test_a_successor_is_killed_behind_any_instruction_too(name: str) -> None:
    """From some of the memories a first death leaves, all that a second one can."""
    proof = Proof.of(SCENES[name])
    first = proof.kill_everywhere()
    for i in random.Random(1).sample(range(1, len(first) - 1), 12):  # the last one leaves nothing to do
        wrong = [fault for memory in proof.kill_everywhere(first[i]) if (fault := proof.recover(memory))]
        assert not wrong, f"after a first death that left memory {i}: {wrong[0]}"


@steps
@pytest.mark.kill
@pytest.mark.parametrize("name", MUTANTS)
def test_a_rule_taken_out_of_the_loop_is_noticed(name: str) -> None:
    proof = Proof.of(SCENES[MUTANTS[name].scene])
    with mutated(name):
        proof.load(proof.opening)
        proof.stage.finish(proof.stage.worker())  # compiled before it is stepped
        if proof.stage.outcome().differs(proof.expected[-1]):
            return
        assert any(proof.recover(memory) for memory in proof.kill_everywhere())


def conserved(engine: ps.Engine) -> bool:
    """Cash and positions are what the fills made of the opening cash, to the last unit."""
    fills, positions = engine.fills, engine.portfolio.positions
    side = pl.when(pl.col("side") == "BUY").then(1.0).otherwise(-1.0)
    spent = fills.select((side * pl.col("notional") + pl.col("fee")).sum()).item() or 0.0
    held = fills.group_by("trader", "symbol").agg((side * pl.col("quantity")).sum().alias("held"))
    both = positions.join(held, on=["trader", "symbol"], how="full", coalesce=True)
    miss = both.select((pl.col("quantity").fill_null(0.0) - pl.col("held").fill_null(0.0)).abs().max()).item()
    return bool(miss < 1e-8 and abs(engine._cash - spent - engine.portfolio.cash) < 1e-4)
