"""The words of an order: the transition table, and records whose words stand where kernels look for them."""

import pytest

from pairsim.orders import order
from pairsim.orders.order import (
    DECISION,
    MAX_MARKETS,
    MAX_SIGNALS,
    ORDER,
    SNAPSHOT,
    TERMINAL,
    TRANSITIONS,
    Status,
    may_follow,
)

FILLS = {Status.PARTIALLY_FILLED, Status.FILLED}
ALIVE = set(Status) - TERMINAL


def test_every_status_has_its_row_and_no_status_follows_itself_but_a_further_partial_fill():
    assert set(TRANSITIONS) == set(Status)
    assert {s for s in Status if may_follow(s, s)} == {Status.PARTIALLY_FILLED}


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_what_is_over_stays_over_but_for_a_late_fill_of_a_cancel_or_an_expiry(status):
    late = FILLS if status in (Status.CANCELED, Status.EXPIRED) else set()
    assert TRANSITIONS[status] == late


@pytest.mark.parametrize("status", sorted(ALIVE))
def test_every_order_under_way_can_end(status):
    reached, front = set(), {status}
    while front:
        reached |= front
        front = set().union(*(TRANSITIONS[s] for s in front)) - reached
    assert reached & TERMINAL


@pytest.mark.parametrize("status", sorted(ALIVE - {Status.INITIALIZED}))
def test_whatever_is_sent_may_fill_may_be_canceled_and_may_become_unknown(status):
    assert TRANSITIONS[status] >= FILLS | {Status.CANCELED}
    assert status is Status.UNKNOWN or Status.UNKNOWN in TRANSITIONS[status]


def test_only_an_order_that_was_not_sent_is_denied_and_none_that_was_filled_is_rejected():
    assert {s for s in Status if may_follow(s, Status.DENIED)} == {Status.INITIALIZED}
    assert not may_follow(Status.INITIALIZED, Status.REJECTED)
    assert not may_follow(Status.PARTIALLY_FILLED, Status.REJECTED)
    assert not any(may_follow(s, Status.INITIALIZED) for s in Status)


def test_kernels_and_records_agree_on_where_words_stand():
    fields = DECISION.fields
    for name in ("trader", "n", "number", "time", "orders", "emit", "sequence", "cash", "equity"):
        field = "emit_ns" if name == "emit" else name
        assert fields[field][1] == 8 * getattr(order, f"D_{name.upper()}")
    assert fields["tick_ns"][1] == 8 * order.D_TICK
    assert fields["snapshot"][1] == 8 * order.D_SNAPSHOT and fields["order"][1] == 8 * order.D_ORDER
    for name in ORDER.names:
        assert ORDER.fields[name][1] == 8 * getattr(order, f"O_{name.upper()}")
    assert SNAPSHOT.itemsize * MAX_MARKETS == 8 * (order.D_ORDER - order.D_SNAPSHOT)
    assert fields["index"][1] == 8 * order.D_INDEX == 8 * (order.D_ORDER + MAX_SIGNALS * order.ORDER_WORDS)
