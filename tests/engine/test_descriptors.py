"""A notebook that holds more than a thousand files open can start an engine all the same."""

import resource

import pytest
from engine.running import CANDLES, output_of, python

MANY = 1_100  # select() knows descriptors up to 1,023
SCRIPT = f"""
import os, resource
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (2 * {MANY}, hard))
held = [os.open(os.devnull, os.O_RDONLY) for _ in range({MANY})]
{CANDLES}
from pairsim.engine.wire import wire_pair
ours, theirs = wire_pair()
assert min(ours.sock.fileno(), theirs.sock.fileno()) > 1_023
ours.send("a word")
print(theirs.receive(60.0), ours.poll())
ours.close()
theirs.close()

with ps.Engine(ps.Trader("BTC/USDT", Dip()), ps.ReplayFeed(bars, speed=None)) as engine:
    state = engine.wait(240)
    engine["BTC/USDT"].tune(level=0.5)
    print(state, engine.status.candles)
"""


def test_wires_know_descriptors_above_1023(tmp_path):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < 2 * MANY:
        pytest.skip(f"this machine allows {hard} open files, {2 * MANY} are needed")
    assert output_of(python("-c", SCRIPT, folder=tmp_path)).splitlines() == ["a word []", "finished 200"]
