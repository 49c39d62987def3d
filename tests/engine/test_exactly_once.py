"""A worker may be killed behind any instruction: no candle and no order is lost or done twice."""

from pathlib import Path

import numpy as np
import pytest
from engine.killing_proof import Proof, kinds
from engine.killing_run import Left, Machine, kill_over
from engine.killing_scenes import SCENES
from engine.killing_steps import why_not
from engine.killing_traders import SYMBOLS, Staged, hundred

import pairsim as ps

SLICES, KILLS = 510, 50

steps = pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")


@steps
@pytest.mark.parametrize("name", SCENES)
def test_killed_behind_any_instruction_a_worker_is_continued_exactly(name: str) -> None:
    proof = Proof.of(SCENES[name])
    memories = proof.kill_everywhere()
    assert kinds(proof, memories) == {
        "half a state",
        "half a decision",
        "published, not committed",
        "committed, not released",
    }
    wrong = {i: fault for i, memory in enumerate(memories) if (fault := proof.recover(memory))}
    assert not wrong, f"{len(wrong)} of {len(memories)}, such as {next(iter(wrong.items()))}"


def replay(feed: ps.ReplayFeed | Staged) -> ps.Engine:
    """A hundred compiled traders with two workers."""
    broker = ps.SimBroker(latency="30s", fee_bps=2, slippage_bps=1)
    return ps.Engine(hundred(), feed, broker, cash=100_000, workers=2)


def test_fifty_kills_of_workers_change_nothing_of_a_lockstep_replay(tmp_path: Path) -> None:
    bars = ps.synthetic(SYMBOLS, "1m", n=SLICES, seed=11)
    with replay(ps.ReplayFeed(bars, speed=None, lockstep=True)) as engine:
        assert engine.wait(240) == "finished"
        undisturbed = Left.by(engine)
    assert {"FILLED", "CANCELED", "EXPIRED", "DENIED"} <= set(undisturbed.orders["status"])
    assert set(undisturbed.orders["type"]) == {"MARKET", "LIMIT", "STOP", "STOP_LOSS", "TAKE_PROFIT"}
    feed = Staged(bars, KILLS + 1, tmp_path)
    with replay(feed) as engine:
        engine.wait(0)
        kills = kill_over(Machine(engine), feed, seed=5)
        assert engine.wait(240) == "finished"
        metrics, left = engine.metrics, Left.by(engine)
    assert metrics.worker_restarts == KILLS
    assert np.ptp(kills.slices) > SLICES // 2, "the kills were spread over the run"
    assert sum(hand > 0 for hand in kills.in_hand) >= KILLS // 5, "and many hit a worker at work"
    assert metrics.duplicates == 0
    left.assert_equals(undisturbed)
