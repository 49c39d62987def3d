"""The feed side of the candle channels: a candle goes by its market straight to the subscribed workers, once each.

The feed thread is the only producer of every candle ring, the only writer of the board and of the history. A candle
is dispatched whole (to all its workers) or not at all; where a channel is full the kernel waits in slices of 20 ms
and returns to Python.
"""

from numba import njit

from pairsim.channels.atomics import now_ns
from pairsim.channels.native import from_front, reals
from pairsim.channels.ring import head, publish, record, room, tail, wait_for_release, wait_for_room, wake_consumer
from pairsim.channels.seqlock import write_begin, write_end
from pairsim.engine.arena import (
    BOARD_NUMBER,
    BOARD_TIME,
    BOARD_WORDS,
    H_DISPATCHED,
    H_FEED_TIME,
    HISTORY_WORDS,
    SERIES_WORDS,
    SR_BUCKET,
    SR_CLOSED,
    SR_COUNT,
    SR_OPEN,
)
from pairsim.engine.worker_loop import CANDLE
from pairsim.market.candle import CANDLE_WORDS, KIND_SHIFT, MARKET_MASK
from pairsim.portfolio.accounting import HOT, JIT

# Offsets for the kernels.
(
    F_BOARD,
    F_WORKING,
    F_BROKER,
    F_CAPACITY,
    F_CREDITS,
    F_HISTORY,  # closed candles: F_KEEP rows of the F_KEPT series
    F_KEEP,
    F_KEPT,
    F_BASE,
    F_BROKER_FD,
    F_MARKETS,
    F_LOCKSTEP,
    F_SERIES,
    F_TOLD,  # tail of the broker ring at the last wake-up
) = range(14)
FEED_WORDS = 14

SLICE_NS = 20_000_000
BLOCK = 64  # records between two publications


@njit(**HOT)
def take_back(mem, lay, rings, w, due, walked, market_of):
    """Return the credits of the records worker ``w`` has released: the producer knows which markets they were."""
    capacity, markets = lay[F_CAPACITY], lay[F_MARKETS]
    freed = head(mem, rings[w])
    for i in range(walked[w], freed):
        market = market_of[w * capacity + (i & (capacity - 1))]
        if market >= 0:
            due[w * markets + market] -= 1
    walked[w] = freed


@njit(**HOT)
def _remember(mem, memf, lay, series_of, series_list, m, time, o, h, l, c, v):
    """Keep the closed candles of each (market, interval) somebody subscribes to: warm-up of a swap, a chart."""
    heads, base = lay[F_SERIES], lay[F_BASE]
    for q in range(series_of[m], series_of[m + 1]):
        i, interval = series_list[2 * q], series_list[2 * q + 1]
        s = heads + i * SERIES_WORDS
        if interval == base:  # closed as it comes
            place = _place_of(mem, lay, s, i)
            mem[place] = time
            memf[place + 1], memf[place + 2], memf[place + 3], memf[place + 4], memf[place + 5] = o, h, l, c, v
            mem[s + SR_CLOSED] += 1
            continue
        bucket = mem[s + SR_BUCKET]
        if mem[s + SR_COUNT] == 0 or time >= bucket + interval:  # a division only where a candle begins
            bucket = time - time % interval
        if mem[s + SR_COUNT] > 0 and mem[s + SR_BUCKET] != bucket:
            _close_series(mem, memf, lay, s, i)
        if mem[s + SR_COUNT] == 0:
            mem[s + SR_BUCKET] = bucket
            memf[s + SR_OPEN], memf[s + SR_OPEN + 1], memf[s + SR_OPEN + 2] = o, h, l
            memf[s + SR_OPEN + 4] = 0.0
        memf[s + SR_OPEN + 1], memf[s + SR_OPEN + 2] = max(memf[s + SR_OPEN + 1], h), min(memf[s + SR_OPEN + 2], l)
        memf[s + SR_OPEN + 3] = c
        memf[s + SR_OPEN + 4] += v
        mem[s + SR_COUNT] += 1
        if time + base == bucket + interval:
            _close_series(mem, memf, lay, s, i)


@njit(**HOT)
def _place_of(mem, lay, s, i):
    """Where the next closed candle of series ``i`` is kept. Markets advance together, so their places do."""
    return lay[F_HISTORY] + ((mem[s + SR_CLOSED] & (lay[F_KEEP] - 1)) * lay[F_KEPT] + i) * HISTORY_WORDS


@njit(**HOT)
def _close_series(mem, memf, lay, s, i):
    place = _place_of(mem, lay, s, i)
    mem[place] = mem[s + SR_BUCKET]
    for w in range(5):
        memf[place + 1 + w] = memf[s + SR_OPEN + w]
    mem[s + SR_COUNT] = 0
    mem[s + SR_CLOSED] += 1


@njit(**JIT)
def _publish_all(mem, lay, rings, tails, stamps, stamped, capacity):
    """Make what was written visible, stamped with the moment of publication, and wake who sleeps."""
    now = now_ns()
    for w in range(len(rings)):
        if tails[w] != stamped[w]:
            for i in range(stamped[w], tails[w]):
                mem[stamps[w] + (i & (capacity - 1))] = now
            stamped[w] = tails[w]
            publish(mem, rings[w], tails[w])
            wake_consumer(mem, rings[w], -1)
    end = tail(mem, lay[F_BROKER])
    if end != lay[F_TOLD]:
        lay[F_TOLD] = end
        wake_consumer(mem, lay[F_BROKER], lay[F_BROKER_FD])


@njit(**HOT)
def _room(mem, lay, rings, w, m, tails, due, walked, market_of):
    """Whether worker ``w`` may get another candle of market ``m`` (-1: any record)."""
    if _has_room(lay, w, m, tails, due, walked):
        return True
    take_back(mem, lay, rings, w, due, walked, market_of)
    return _has_room(lay, w, m, tails, due, walked)


@njit(**HOT)
def _has_room(lay, w, m, tails, due, walked):
    free = tails[w] - walked[w] < lay[F_CAPACITY]
    return free and (m < 0 or due[w * lay[F_MARKETS] + m] < lay[F_CREDITS])


@njit(**JIT)
def _show(mem, lay, records, first, last, newest, sequences):
    """The last candle of each market among ``records[first:last]`` onto the board, before any worker can see it."""
    for i in range(first, last):
        m = records[8 * i] & MARKET_MASK
        if newest[m] == i:
            cell = lay[F_BOARD] + m * BOARD_WORDS
            write_begin(mem, cell)
            for w in range(6):
                mem[cell + BOARD_TIME + w] = records[8 * i + 2 + w]
            mem[cell + BOARD_NUMBER] = sequences[m] - 1
            write_end(mem, cell)
    if last > first:
        time = records[8 * (last - 1) + 2] + lay[F_BASE]
        if mem[H_DISPATCHED] == 0 or time > mem[H_FEED_TIME]:  # the markets of a live feed may be out of step
            mem[H_FEED_TIME] = time
        mem[H_DISPATCHED] += last - first


@njit(**JIT)
def _dispatch_block(
    mem, memf, lay, records, recordsf, first, last, kind, market_workers, worker_list, series_of, series_list,
    rings, starts, sequences, newest, tails, due, walked, market_of,
):  # fmt: skip
    """Write ``records[first:last]`` into the channels, unpublished; returns the index reached and the worker whose
    channel is full there (-1: the broker's).
    """
    capacity, markets, broker = lay[F_CAPACITY], lay[F_MARKETS], lay[F_BROKER]
    live = kind == CANDLE and lay[F_LOCKSTEP] == 0
    for i in range(first, last):
        at = 8 * i
        m = records[at] & MARKET_MASK
        from_q, to_q = market_workers[m], market_workers[m + 1]
        for q in range(from_q, to_q):
            w = worker_list[q]
            if not _room(mem, lay, rings, w, m, tails, due, walked, market_of):
                return i, w
        wanted = live and mem[lay[F_WORKING] + m] > 0
        if wanted and room(mem, broker) <= 0:
            return i, -1
        number = sequences[m]
        sequences[m] = number + 1
        newest[m] = i
        # All loads before all stores: then they are vectors.
        t, o, h = records[at + 2], records[at + 3], records[at + 4]
        l, c, v = records[at + 5], records[at + 6], records[at + 7]
        if wanted:
            end = tail(mem, broker)
            place = record(mem, broker, end)
            mem[place], mem[place + 1] = m, number
            mem[place + 2], mem[place + 3], mem[place + 4] = t, o, h
            mem[place + 5], mem[place + 6], mem[place + 7] = l, c, v
            publish(mem, broker, end + 1)
        for q in range(from_q, to_q):
            w = worker_list[q]
            end = tails[w] & (capacity - 1)
            place = starts[w] + end * CANDLE_WORDS

            mem[place], mem[place + 1] = (kind << KIND_SHIFT) | m, number
            mem[place + 2], mem[place + 3], mem[place + 4] = t, o, h
            mem[place + 5], mem[place + 6], mem[place + 7] = l, c, v
            market_of[w * capacity + end] = m
            tails[w] += 1
            due[w * markets + m] += 1
        _remember(
            mem, memf, lay, series_of, series_list, m, t, recordsf[at + 3], recordsf[at + 4], recordsf[at + 5],
            recordsf[at + 6], recordsf[at + 7],
        )  # fmt: skip
    return last, -1


@njit(**JIT)
def dispatch(
    mem, memf, lay, records, recordsf, first, last, kind, market_workers, worker_list, series_of, series_list,
    rings, starts, stamps, sequences, newest, tails, stamped, due, walked, market_of,
):  # fmt: skip
    """Dispatch ``records[first:last]``; returns the index reached, smaller than ``last`` when a channel stayed full
    for 20 ms.

    records : int64[n, 8] candles with the market in word 0, recordsf its float view. kind : CANDLE or HISTORY.
    market_workers, worker_list : workers of each market. sequences : int64[markets], the feed's numbering of each
        market's candles. starts : word of each ring's first record.
    newest, tails, stamped, due, walked, market_of : the producer's private books: of each market the last record
        sent, of each ring what was written, stamped, not yet released by market, looked at, and each record's market.
    """
    mem, lay, records = from_front(mem), from_front(lay), from_front(records)
    memf, recordsf = reals(mem), reals(records)
    market_workers, worker_list = from_front(market_workers), from_front(worker_list)
    series_of, series_list = from_front(series_of), from_front(series_list)
    rings, starts, stamps = from_front(rings), from_front(starts), from_front(stamps)
    sequences, newest, tails, stamped = (
        from_front(sequences),
        from_front(newest),
        from_front(tails),
        from_front(stamped),
    )
    due, walked, market_of = from_front(due), from_front(walked), from_front(market_of)
    capacity, broker = lay[F_CAPACITY], lay[F_BROKER]
    i = first
    while i < last:
        begun, stop = i, min(last, i + BLOCK)
        i, full = _dispatch_block(
            mem, memf, lay, records, recordsf, begun, stop, kind, market_workers, worker_list, series_of, series_list,
            rings, starts, sequences, newest, tails, due, walked, market_of,
        )  # fmt: skip
        if kind == CANDLE:
            _show(mem, lay, records, begun, i, newest, sequences)
        _publish_all(mem, lay, rings, tails, stamps, stamped, capacity)
        if i == stop:
            continue
        if full < 0:
            if not wait_for_room(mem, broker, SLICE_NS):
                return i
        else:
            wait_for_release(mem, rings[full], walked[full], SLICE_NS)
            m = records[8 * i] & MARKET_MASK
            if not _room(mem, lay, rings, full, m, tails, due, walked, market_of):
                return i
    return i


@njit(**JIT)
def _to_broker(mem, lay, words):
    """One record for the order engine; False when its ring stayed full for 20 ms."""
    broker = lay[F_BROKER]
    if room(mem, broker) <= 0:
        wake_consumer(mem, broker, lay[F_BROKER_FD])  # a slice may be longer than the ring
        if not wait_for_room(mem, broker, SLICE_NS):
            return False
    end = tail(mem, broker)
    place = record(mem, broker, end)
    for w in range(8):
        mem[place + w] = words[w]
    publish(mem, broker, end + 1)
    return True


@njit(**JIT)
def send_slice(mem, lay, records, first, last, marker):
    """Lockstep: all candles of a slice, then its end, to the order engine; returns the index reached (last + 1 when
    done).
    """
    broker = lay[F_BROKER]
    for i in range(first, last):
        if not _to_broker(mem, lay, records[i]):
            wake_consumer(mem, broker, lay[F_BROKER_FD])
            return i
    done = _to_broker(mem, lay, marker)
    wake_consumer(mem, broker, lay[F_BROKER_FD])
    return last + 1 if done else last


@njit(**JIT)
def push_record(mem, lay, w, words, rings, stamps, newest, tails, stamped, due, walked, market_of):
    """A control record for one worker; False when its ring stayed full for 20 ms."""
    due, market_of = from_front(due), from_front(market_of)
    capacity = lay[F_CAPACITY]
    if not _room(mem, lay, rings, w, -1, tails, due, walked, market_of):
        _publish_all(mem, lay, rings, tails, stamps, stamped, capacity)
        wait_for_release(mem, rings[w], walked[w], SLICE_NS)
        if not _room(mem, lay, rings, w, -1, tails, due, walked, market_of):
            return False
    place = record(mem, rings[w], tails[w])
    for j in range(8):
        mem[place + j] = words[j]
    market_of[w * capacity + (tails[w] & (capacity - 1))] = -1
    tails[w] += 1
    _publish_all(mem, lay, rings, tails, stamps, stamped, capacity)
    return True


@njit(**JIT)
def await_drained(mem, rings, timeout_ns):
    """Wait until every worker has released all it was sent; False after the deadline."""
    until = now_ns() + timeout_ns
    for w in range(len(rings)):
        while True:
            seen = head(mem, rings[w])
            if seen == tail(mem, rings[w]):
                break
            if now_ns() > until:
                return False
            wait_for_release(mem, rings[w], seen, SLICE_NS)
    return True
