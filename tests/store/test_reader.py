"""The reader: exact columns, statuses from events and fills, live and incremental looks at a store that is written."""

import subprocess
import sys
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store import journal_rows as make

from pairsim.errors import InputError, StoreError
from pairsim.orders.order import TERMINAL, OrderType, Status
from pairsim.store import Journal, frames
from pairsim.store.reader import Reader

TIME = pl.Datetime("ns", "UTC")
ORDERS = {
    "timestamp": TIME,
    "symbol": pl.String,
    "trader": pl.String,
    "side": pl.String,
    "type": pl.String,
    "quantity": pl.Float64,
    "limit_price": pl.Float64,
    "status": pl.String,
    "filled_quantity": pl.Float64,
    "average_price": pl.Float64,
    "reason": pl.String,
    "client_order_id": pl.String,
}
FILLS = {
    "timestamp": TIME,
    "symbol": pl.String,
    "trader": pl.String,
    "side": pl.String,
    "quantity": pl.Float64,
    "price": pl.Float64,
    "fee": pl.Float64,
    "liquidity": pl.String,
    "client_order_id": pl.String,
    "trade_id": pl.String,
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.db"


@pytest.fixture
def journal(path):
    with Journal.open(path, run={"name": "test"}) as opened:
        opened.append("markets", make.markets())
        opened.append("traders", make.traders())
        yield opened


@pytest.fixture
def reader(journal, path):
    return Reader(path, run=journal.run)


def frames_of(reader):
    return [getattr(reader, name)() for name in ("orders", "fills", "equity", "health", "controls", "feed", "runs")]


def fill_up(journal):
    journal.append("orders", [make.order(1), make.order(2, kind=OrderType.LIMIT, side=-1, limit=99.5)])
    journal.append("fills", [make.fill("t1", 1), make.fill("t2", 2, quantity=5, side=-1, liquidity=1, late=1)])
    journal.append("events", [make.event(1, Status.ACCEPTED)])
    journal.append("equity", [(make.EPOCH, 1_000.5, 900.25)])
    journal.append(
        "health", [(make.EPOCH, make.EPOCH, 1, "error", "it broke", "Traceback"), (0, 0, None, "x", "y", None)]
    )
    journal.append("controls", [(3, make.EPOCH, make.EPOCH, 0, "TUNE", '{"low": 25}')])
    journal.append("feed", [(make.EPOCH, make.EPOCH, 1, "gap", 2, "2 candles missing")])
    journal.flush()


# -- columns ---------------------------------------------------------------------------------------------------------


def test_frames_have_the_promised_columns_in_order(reader):
    assert dict(list(reader.orders().schema.items())[: len(ORDERS)]) == ORDERS
    assert dict(list(reader.fills().schema.items())[: len(FILLS)]) == FILLS
    assert dict(reader.equity().schema) == {"timestamp": TIME, "equity": pl.Float64}


def test_an_empty_frame_has_the_types_of_a_full_one(journal, reader):
    empty = frames_of(reader)
    fill_up(journal)
    full = frames_of(reader)
    assert [frame.schema for frame in empty] == [frame.schema for frame in full]
    assert [len(frame) for frame in full] == [2, 2, 1, 2, 1, 1, 1]


def test_an_order_reads_in_the_users_words(journal, reader):
    fill_up(journal)
    market, limit = reader.orders().rows(named=True)
    moment = pl.Series([make.EPOCH + 1], dtype=pl.Int64).cast(TIME)[0]
    assert market["timestamp"] == moment
    assert (market["symbol"], market["trader"], market["side"], market["type"]) == (
        "M1/USDT",
        "trader 1",
        "BUY",
        "MARKET",
    )
    assert (market["quantity"], market["filled_quantity"], market["average_price"]) == (
        1.00000001,
        1.00000001,
        100 + 1 / 7,
    )
    assert (market["status"], market["client_order_id"], market["limit_price"]) == ("FILLED", "1-1-1-0", None)
    assert (market["cash"], market["equity"], market["portfolio_sequence"]) == (1_000 + 1 / 3, 2_000 + 1 / 7, 1)
    assert (limit["symbol"], limit["side"], limit["type"], limit["limit_price"]) == ("M0/USDT", "SELL", "LIMIT", 99.5)
    assert (limit["status"], limit["filled_quantity"]) == ("PARTIALLY_FILLED", 5e-8)


def test_a_fill_reads_in_the_users_words_with_money_at_the_quotes_scale(journal, reader):
    fill_up(journal)
    taker, maker = reader.fills().rows(named=True)
    assert (taker["symbol"], taker["side"], taker["quantity"], taker["price"]) == (
        "M1/USDT",
        "BUY",
        1.00000001,
        100 + 1 / 7,
    )
    assert (taker["fee"], taker["notional"], taker["liquidity"], taker["late"]) == (0.00079, 0.123457, "TAKER", False)
    assert (maker["client_order_id"], maker["trade_id"], maker["liquidity"], maker["late"]) == (
        "1-2-0-0",
        "t2",
        "MAKER",
        True,
    )


def test_health_controls_and_feed_name_trader_and_market(journal, reader):
    fill_up(journal)
    assert reader.health()["trader"].to_list() == ["trader 1", None]
    assert reader.controls().select("trader", "kind", "payload").rows() == [("trader 0", "TUNE", '{"low": 25}')]
    assert reader.feed().select("symbol", "kind", "count").rows() == [("M1/USDT", "gap", 2)]


def test_times_beyond_microseconds_are_exact(journal, reader):
    fill_up(journal)
    assert reader.orders()["timestamp"].cast(pl.Int64).to_list() == [make.EPOCH + 1, make.EPOCH + 2]


def test_the_average_price_of_equal_fills_is_that_price(journal, reader):
    price = 0.1 + 0.2
    journal.append("orders", [make.order(1, quantity=30)])
    journal.append("fills", [make.fill(f"t{k}", 1, quantity=k, price=price) for k in (1, 3, 7, 19)])
    journal.flush()
    assert reader.orders()["average_price"].to_list() == [price]


def test_the_average_price_is_weighted_by_quantity(journal, reader):
    journal.append("orders", [make.order(1, quantity=4)])
    journal.append("fills", [make.fill("a", 1, quantity=1, price=100.0), make.fill("b", 1, quantity=3, price=104.0)])
    journal.flush()
    assert reader.orders()["average_price"].to_list() == [103.0]


# -- statuses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "filled", "status", "reason"),
    [
        ([], 0, "INITIALIZED", None),
        ([(Status.DENIED, "cash")], 0, "DENIED", "cash"),
        ([(Status.SUBMITTED, None), (Status.ACCEPTED, None)], 0, "ACCEPTED", None),
        ([(Status.ACCEPTED, None)], 4, "PARTIALLY_FILLED", None),
        ([(Status.ACCEPTED, None)], 10, "FILLED", None),
        ([(Status.FILLED, "trimmed to cash")], 9, "FILLED", "trimmed to cash"),
        ([(Status.PENDING_CANCEL, None)], 4, "PENDING_CANCEL", None),
        ([(Status.PENDING_CANCEL, None)], 10, "FILLED", None),
        ([(Status.CANCELED, "replaced")], 4, "CANCELED", "replaced"),
        ([(Status.CANCELED, "replaced")], 10, "FILLED", "replaced"),
        ([(Status.EXPIRED, "end of data")], 0, "EXPIRED", "end of data"),
        ([(Status.REJECTED, "lot size")], 0, "REJECTED", "lot size"),
        ([(Status.UNKNOWN, "timeout")], 0, "UNKNOWN", "timeout"),
        ([(Status.UNKNOWN, "timeout")], 4, "UNKNOWN", "timeout"),
        ([(Status.UNKNOWN, "timeout"), (Status.ACCEPTED, None)], 4, "PARTIALLY_FILLED", "timeout"),
    ],
)
def test_the_status_of_an_order_follows_from_events_and_fills(journal, reader, events, filled, status, reason):
    journal.append("orders", [make.order(1, quantity=10)])
    journal.append("events", [make.event(1, told, why, step) for step, (told, why) in enumerate(events, 1)])
    if filled:
        journal.append("fills", [make.fill("t", 1, quantity=filled)])
    journal.flush()
    row = reader.orders().row(0, named=True)
    assert (row["status"], row["reason"], row["filled_quantity"]) == (status, reason, filled / 1e8)


def naive_status(quantity, told, filled):
    done = sum(filled)
    if done and done >= quantity:
        return Status.FILLED
    last = told[-1] if told else Status.INITIALIZED
    if last in TERMINAL or last in (Status.PENDING_CANCEL, Status.UNKNOWN):
        return last
    return Status.PARTIALLY_FILLED if done else last


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 20), st.lists(st.sampled_from(Status), max_size=4), st.lists(st.integers(1, 10), max_size=3)
        ),
        max_size=8,
    )
)
def test_many_orders_have_the_statuses_a_plain_loop_gives_them(cases):
    orders, events, fills = [], [], []
    for i, (quantity, told, filled) in enumerate(cases, 1):
        orders.append((i, 1, *make.order(i, quantity=quantity)[1:]))
        events += [(len(events) + k, 1, *make.event(i, status)) for k, status in enumerate(told, 1)]
        fills += [(len(fills) + k, 1, *make.fill(f"{i}-{k}", i, quantity=units)) for k, units in enumerate(filled, 1)]
    named = [("markets", make.markets()), ("traders", make.traders())]
    tables = [("events", events), ("fills", fills), ("orders", orders)]
    tables += [(name, [(k, 1, *row) for k, row in enumerate(rows, 1)]) for name, rows in named]
    made = frames.orders(*(frames.raw(name, rows) for name, rows in tables))
    assert made["status"].to_list() == [naive_status(*case).name for case in cases]
    assert made["order_id"].to_list() == list(range(1, len(cases) + 1))


def test_the_story_of_an_order_tells_intent_events_and_fills_in_turn(journal, reader):
    journal.append("orders", [make.order(1, quantity=10), make.order(2)])
    journal.append("events", [make.event(1, Status.SUBMITTED), make.event(2, Status.DENIED, "cash")])
    journal.append("fills", [make.fill("a", 1, quantity=4), make.fill("b", 1, quantity=5)])
    journal.append("events", [make.event(1, Status.FILLED, "trimmed to cash", step=9)])
    journal.flush()
    told = reader.events("1-1-1-0")
    assert told["status"].to_list() == ["INITIALIZED", "SUBMITTED", "PARTIALLY_FILLED", "PARTIALLY_FILLED", "FILLED"]
    assert told["filled_quantity"].to_list() == [0.0, 0.0, 4e-8, 9e-8, 9e-8]
    assert told["trade_id"].to_list() == [None, None, "a", "b", None]
    assert told["liquidity"].to_list() == [None, None, "TAKER", "TAKER", None]
    assert told["reason"].to_list() == [None, None, None, None, "trimmed to cash"]
    assert reader.events("1-2-0-0")["status"].to_list() == ["INITIALIZED", "DENIED"]
    assert reader.events("1-2-0-0").schema == told.schema


def test_the_story_of_an_unknown_order_says_where_ids_stand(reader):
    with pytest.raises(InputError, match=r"no order has the client_order_id 'x'; the ids stand in orders\(\)"):
        reader.events("x")


# -- live ------------------------------------------------------------------------------------------------------------


def test_a_reader_sees_each_commit_as_it_comes(journal, reader):
    for i in range(1, 50):
        journal.append("orders", [make.order(i)])
        journal.flush()
        frame = reader.orders()
        assert frame["order_id"].to_list() == list(range(1, i + 1))
        assert frame["status"][-1] == "INITIALIZED"
        journal.append("fills", [make.fill(f"t{i}", i)])
        journal.flush()
        assert reader.orders()["status"].to_list() == ["FILLED"] * i


def test_only_new_rows_are_fetched(journal, reader):
    journal.append("equity", [(k, 1.0, 1.0) for k in range(10)])
    journal.flush()
    rows, seen = reader.since("equity", 0, limit=6)
    assert ([row[2] for row in rows], seen) == ([0, 1, 2, 3, 4, 5], 6)
    rows, seen = reader.since("equity", seen)
    assert ([row[2] for row in rows], seen) == ([6, 7, 8, 9], 10)
    assert reader.since("equity", seen) == ([], 10)
    with pytest.raises(InputError, match="no table 'fill'; it has markets"):
        reader.since("fill", 0)


def test_news_of_several_tables_come_together(journal, reader):
    journal.append("orders", [make.order(1), make.order(2)])
    journal.append("fills", [make.fill("t1", 1)])
    journal.flush()
    rows, seen = reader.news({"fills": 0, "orders": 1, "health": 0})
    assert {table: [row[0] for row in found] for table, found in rows.items()} == {
        "fills": [1],
        "orders": [2],
        "health": [],
    }
    assert seen == {"fills": 1, "orders": 2, "health": 0}
    assert not any(reader.news(seen)[0].values())


def test_more_rows_than_one_batch_are_all_read(monkeypatch, journal, reader):
    monkeypatch.setattr("pairsim.store.reader.BATCH_ROWS", 7)
    for count in (7, 14, 20):
        journal.append("equity", [(k, float(k), 1.0) for k in range(len(reader.equity()), count)])
        journal.flush()
        assert reader.equity()["equity"].to_list() == list(map(float, range(count)))


def test_a_reader_of_one_run_sees_that_run_and_one_of_all_sees_all(path):
    for run, symbol in ((1, "BTC/USDT"), (2, "ETH/USDT")):
        with Journal.open(path, run={"run": run}) as journal:
            journal.append("markets", [(1, symbol, 8, 8, None, 1e-8, 0.0)])
            journal.append("traders", [(1, f"trader of run {run}", "RSI", 10**9)])
            order = list(make.order(2 * run + 1, run=run))
            order[0] = journal.highest["orders"] + 1
            journal.append("orders", [tuple(order)])
    assert Reader(path, run=1).orders()["symbol"].to_list() == ["BTC/USDT"]
    assert Reader(path, run=2).orders()["trader"].to_list() == ["trader of run 2"]
    assert Reader(path).orders()["symbol"].to_list() == ["BTC/USDT", "ETH/USDT"]
    assert Reader(path).runs()["config"].to_list() == ['{"run": 1}', '{"run": 2}']
    assert Reader(path).runs()["started"][0] > datetime(2020, 1, 1, tzinfo=UTC)


def test_a_closed_store_is_read_without_leaving_a_file_beside_it(path):
    with Journal.open(path, run={}) as journal:
        journal.append("orders", [make.order(1)])
    assert len(Reader(path).orders()) == 1
    assert [file.name for file in path.parent.iterdir()] == ["run.db"]


def test_a_reader_cannot_write(path, journal):
    with pytest.raises(StoreError, match="readonly"):
        Reader(path)._select("DELETE FROM orders")


def test_a_reader_does_not_keep_an_engine_from_closing_or_opening_its_store(path):
    reader = None
    for run in (1, 2, 3):
        with Journal.open(path, run={}) as journal:
            reader = reader or Reader(path)
            journal.append("equity", [(run, 1.0, 1.0)])
            journal.flush()
            assert len(reader.equity()) == run
        assert len(reader.equity()) == run


def test_the_journal_alone_imports_no_polars():
    script = "import sys, pairsim.store, pairsim.store.reader; print('polars' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
