"""The book of the venue: rows are taken, linked first in first out, freed, and enough of them are there."""

import numpy as np
import pytest
from orders.venue_world import NAN, World

from pairsim.orders.matching import COUNT, ID_STEP, arrival_of, cancel_pair, grow_book, match_candle, new_book, submit
from pairsim.orders.order_book import FREE, LINKS


def rows_of(orders, links, market):
    """Row numbers of a market, first to last; the tail must be the last."""
    rows, row = [], links[LINKS + 2 * market]
    while row >= 0:
        rows.append(int(row))
        row = orders["next"][row]
    assert links[LINKS + 2 * market + 1] == (rows[-1] if rows else -1)
    return rows


def free_rows(orders, links):
    """Row numbers that are free."""
    rows, row = [], links[FREE]
    while row >= 0:
        rows.append(int(row))
        row = orders["next"][row]
    return rows


def check_book(orders, links):
    """Every row is free or linked in one market, and the count is right. Returns ids, market by market."""
    linked = [rows_of(orders, links, m) for m in range((len(links) - LINKS) // 2)]
    every = [row for rows in linked for row in rows] + free_rows(orders, links)
    assert sorted(every) == list(range(len(orders)))
    assert links[COUNT] == sum(map(len, linked))
    return [orders["order_id"][rows].tolist() for rows in linked]


def put(orders, links, order_id, market=0):
    return submit(orders, links, order_id, 0, market, 1, 1, 10**8, 1.0, NAN, NAN, NAN, 0, 0)


def test_a_new_book_is_all_free():
    orders, links = new_book(5, 3)
    assert check_book(orders, links) == [[], [], []]
    assert len(free_rows(orders, links)) == 5


def test_orders_stand_in_their_market_in_the_order_they_came():
    orders, links = new_book(8, 2)
    for order_id, market in ((4, 0), (8, 1), (12, 0), (16, 1), (20, 1)):
        put(orders, links, order_id, market)
    assert check_book(orders, links) == [[4, 12], [8, 16, 20]]


@pytest.mark.parametrize("gone", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 2), (0, 1, 2)])
def test_orders_that_are_done_leave_the_others_in_line(gone):
    world = World(pairs=((0, 0), (1, 0), (2, 0)), capacity=8)
    ids = [world.buy("abc"[k], 1, limit=50.0, pair=k) for k in range(3)]
    for k in gone:
        world.cancel(at=0, pair=k)
    world.match(100.0, 101.0, 99.0)
    assert check_book(world.orders, world.links) == [[order_id for k, order_id in enumerate(ids) if k not in gone]]
    world.buy("d", 1, limit=50.0)
    assert check_book(world.orders, world.links)[0][-1] == world.next_id - ID_STEP


def test_a_book_grows_with_its_orders_in_place():
    orders, links = new_book(2, 2)
    put(orders, links, 4, 1)
    put(orders, links, 8, 0)
    assert free_rows(orders, links) == []
    for size in (4, 8, 16):
        orders = grow_book(orders, links)
        assert len(orders) == size
        assert check_book(orders, links) == [[8], [4]]
    for k in range(14):
        put(orders, links, 12 + 4 * k)
    assert len(check_book(orders, links)[0]) == 15


def test_a_book_keeps_its_free_rows_when_it_grows_early():
    orders, links = new_book(4, 1)
    put(orders, links, 4)
    orders = grow_book(orders, links)
    assert check_book(orders, links) == [[4]]
    assert len(free_rows(orders, links)) == 7


def test_two_rows_an_entry_are_room_for_its_protective_orders():
    world = World(cash=1e6, capacity=3 * 20)
    for _ in range(20):
        world.buy("a", 1, stop_loss=1.0, take_profit=1000.0)
    world.match(100.0, 101.0, 99.0)
    # each entry took over from the one before: of sixty rows two are left in use
    assert [len(ids) for ids in check_book(world.orders, world.links)] == [2]


def test_no_candle_makes_more_than_eight_events_an_order():
    world = World(cash=1e6, capacity=64, participation=1.0)
    for k in range(10):
        world.buy("a", 10, limit=100.0 - k / 10, stop_loss=95.0, take_profit=105.0)
    events = world.match(100.0, 106.0, 94.0, volume=97.0)
    assert len(events) <= 8 * 10
    ended = [e.order_id for e in events if e.final]
    assert len(ended) == len(set(ended))


def test_a_cancel_spares_protective_orders_unless_they_are_meant():
    world = World()
    world.buy("a", 1, stop_loss=50.0)
    world.match(100.0, 101.0, 99.0)
    cancel_pair(world.orders, world.links, 0, 0, 0, 3, False)
    assert world.candle(100.0, 101.0, 99.0) == []
    cancel_pair(world.orders, world.links, 0, 0, 0, 3, True)
    assert world.candle(100.0, 101.0, 99.0) == ["a.stop_loss canceled: position closed"]


def test_a_market_without_orders_says_nothing():
    world = World()
    assert match_candle(
        world.orders, world.links, world.mem, world.memf, 0, 0, 60, 1.0, 1.0, 1.0, 1.0, 0.0, world.events, 7
    ) == 7  # fmt: skip


# --- arrival -------------------------------------------------------------------------------------------------------


def test_without_jitter_an_order_arrives_after_its_latency():
    assert arrival_of(1_000, 4, 50, 0, 7) == 1_050


def test_jitter_is_between_nothing_and_all_of_it_and_reaches_both():
    drawn = [arrival_of(1_000, 4 * k, 50, 3, 7) - 1_050 for k in range(1, 500)]
    assert set(drawn) == {0, 1, 2, 3}


def test_jitter_is_drawn_evenly():
    n = 20_000
    drawn = np.array([arrival_of(0, 4 * k, 0, 9, 1) for k in range(n)])
    counts = np.bincount(drawn, minlength=10)
    assert np.all(np.abs(counts - n / 10) < 5 * np.sqrt(n / 10))


def test_jitter_goes_by_seed_and_order_alone():
    assert arrival_of(0, 4, 0, 10**9, 7) == arrival_of(0, 4, 0, 10**9, 7)
    assert arrival_of(0, 4, 0, 10**9, 7) != arrival_of(0, 8, 0, 10**9, 7)
    assert arrival_of(0, 4, 0, 10**9, 7) != arrival_of(0, 4, 0, 10**9, -7)
