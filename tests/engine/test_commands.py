"""What commands do in the host, on fakes that are as slow or as quick as it takes to find them out."""

from collections.abc import Callable
from concurrent.futures import Future
from itertools import combinations_with_replacement
from types import SimpleNamespace
from typing import Any

import pytest

from pairsim.engine import hosting
from pairsim.engine.arena import H_BARRIER, H_CHECKED, H_FEED_TIME
from pairsim.engine.commands import Commands
from pairsim.engine.hosting import Host
from pairsim.engine.status import RunState

CANDLES, ORDERS, GATE, BROKER = "candles", "orders", "gate", "broker"
PLACES = (CANDLES, ORDERS, "held by the gate", GATE, "taken")
LOOKS = 6


@pytest.mark.parametrize("moves", list(combinations_with_replacement(range(LOOKS + 1), 4)))
def test_a_decision_on_its_way_is_seen_however_it_moves_between_two_looks(monkeypatch, moves):
    """``moves`` says behind how many looks the candle is decided on, and its order goes on from place to place."""
    looks = 0

    def place() -> str:
        nonlocal looks
        looks += 1
        return PLACES[sum(looks > move for move in moves)]

    class Words:
        """The gate has checked a slice when it has passed on what it held of it."""

        def __getitem__(self, word: int) -> int:
            if word == H_BARRIER:
                return 1
            assert word == H_CHECKED
            return int(PLACES.index(place()) > PLACES.index("held by the gate"))

    monkeypatch.setattr(hosting, "ring_stats", lambda mem, ring: {"depth": int(place() == ring)})
    host = Host.__new__(Host)
    host.mem = Words()
    host.arena = SimpleNamespace(candle_rings=(CANDLES,), order_rings=(ORDERS,), gate_ring=GATE, broker_ring=BROKER)
    assert host._decisions_move() or place() == "taken"


class SlowHost:
    """A run whose commands are told late of what the feed thread did for them: candles have passed meanwhile."""

    state = RunState.RUNNING

    def __init__(self, at_once: Callable[[], object] = lambda: None) -> None:
        self.mem, self.health, self.journalled = {H_FEED_TIME: 5}, {0: ("first failure", "")}, []
        self.arena = SimpleNamespace(spare=0)
        self.feed = SimpleNamespace(call=self.call, send_control=self.send_control)
        self.at_once = at_once

    def call(self, work: Callable[[], Any]) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(work())
        self.mem[H_FEED_TIME] = 1_000
        return done

    def send_control(self, trader: int, kind: int) -> tuple[int, int]:
        self.at_once()
        return 1, self.mem[H_FEED_TIME]

    def journal_control(self, place: tuple[int, int], trader: int, kind: str, payload: str) -> None:
        self.journalled.append((place, trader, kind))


def test_a_command_is_written_down_with_the_moment_it_took_place():
    host = SlowHost()
    Commands(host).do_trader(0, "pause")
    assert host.journalled == [((1, 5), 0, "pause")]
    assert host.health == {0: ("first failure", "")}


def test_a_trader_that_fails_again_as_soon_as_it_is_resumed_says_why():
    host = SlowHost(lambda: host.health.__setitem__(0, ("second failure", "")))
    Commands(host).do_trader(0, "resume")
    assert host.health == {0: ("second failure", "")}


def test_a_trader_that_is_resumed_has_no_failure_any_more():
    host = SlowHost()
    Commands(host).do_trader(0, "resume")
    assert host.health == {}
