"""However often a trader is tuned, its versions take turns in two places, and a worker keeps no more than it needs."""

import gc
from typing import Any

from engine.killing_run import Machine
from engine.own_ports import Sawtooth
from engine.running import until

import pairsim as ps
from pairsim.engine.layout import T_B

TUNES = 7  # versions 1 to 7: each place is taken three times


class Showing(ps.Strategy):
    """With each evaluation an order that never fills: its limit counts evaluations, its quantity the versions that the
    worker holds.
    """

    period: int = ps.param(3, 2, 50)
    count: int = ps.state(0)

    def indicators(self) -> dict[str, Any]:
        return {"mean": ps.SMA(self.period)}

    def generate_signal(self, ctx: Any) -> Any:
        _ = {self.count, "no machine code for this"}
        self.count += 1
        kinds = [type(each) for each in gc.get_objects()]
        held = sum(kind.__name__ == "Version" and kind.__module__ == "pairsim.engine.worker" for kind in kinds)
        return ps.buy(quantity=held, limit=self.count / 100)


def test_tunes_use_up_neither_the_arena_nor_the_worker_and_a_death_after_one_loses_nothing():
    with ps.Engine(ps.Trader("A/USDT", Showing()), Sawtooth(n=100_000, speed=20.0)) as engine:
        engine.wait(0)
        trader, machine, places = engine["A/USDT"], Machine(engine), []
        for k in range(TUNES):
            trader.tune(period=4 + k)
            assert set(engine._version_rows) <= {(0, k), (0, k + 1)}
            places.append(int(engine._version_rows[0, k + 1][T_B]))
            seen = trader.health.evaluations
            until(lambda seen=seen: trader.health.evaluations > seen + 1, "evaluations of the new version")
        assert places == [places[0], places[1]] * (TUNES // 2) + [places[0]]
        assert places[0] != places[1]
        trader.tune(period=20)
        worker = machine.named("pairsim-worker-0")
        assert worker is not None
        worker.kill()
        seen = trader.health.evaluations
        until(lambda: engine.metrics.worker_restarts == 1, "a successor")
        trader.tune(period=21)
        until(lambda: trader.health.evaluations > seen + 10, "evaluations of the successor")
        assert trader.health.state == "active"
        assert trader.strategy.period == 21
    orders = engine.orders
    # every evaluation once, in order, over all versions and the death
    assert orders["limit_price"].to_list() == [k / 100 for k in range(1, orders.height + 1)]
    assert orders.height == trader.health.evaluations
    assert engine.metrics.duplicates == 0
    assert 1.0 <= orders["quantity"].min() <= orders["quantity"].max() <= 3.0
