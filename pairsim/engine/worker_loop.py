"""The worker's loop: drains one ring of candles and control records, and commits every record exactly once.

Rules (proved by killing it behind every instruction: tests/engine/test_exactly_once.py):

R1  A record reads the slots its trader's counter n names (A[n & 1], B[c & 1]) and writes the other ones. Nothing that
    is read is changed, so whatever was written before a crash is simply written again.
R2  An order is published before the record is committed (store-release of n + 1).
R3  The decision record is the log of its own evaluation: after a crash the last one published tells whether its
    evaluation is committed. If it is not, that record is evaluated again on the logged snapshot, and nothing is pushed.
    (In a ring of one the next decision is written over the last one. Its index in the ring, written before all else,
    says so; then the last one is committed.)
R4  A record met again is known by its sequence, which stands in slot A. The ring's head says only "may be overwritten".
R5  At most one candle closes per commit: a late close takes a commit of its own before the record that revealed it.

The same loop serves compiled and plain-Python strategies: both are called by address.
"""

import numpy as np
from numba import njit

from pairsim.channels.atomics import compiler_fence, exchange, fence, load_acquire, load_relaxed, now_ns, store_release
from pairsim.channels.native import address_of, call, copy_words, from_front, part, reals
from pairsim.channels.ring import (
    head,
    publish,
    record,
    release,
    room,
    tail,
    wait_for_data,
    wait_for_room,
    wake_producer,
)
from pairsim.channels.seqlock import READ_TRIES, read_begin, read_retry
from pairsim.channels.waiting import wake_word
from pairsim.engine.arena import H_GATE_SLEEPS, W_ASKED, W_ASKED_N, W_DECISIONS, W_EVALUATED, W_HANDLED, W_REPLAYS
from pairsim.engine.evaluation import evaluate, read_snapshot
from pairsim.engine.layout import (
    A_CLOSES,
    A_CONTROL,
    A_DUE,
    A_DUE_BUCKET,
    A_MARKET,
    A_VERSION,
    ACTIVE,
    AM_BUCKET,
    AM_COUNT,
    AM_OPEN,
    AM_SEQUENCE,
    AM_WORDS,
    B_ERRORS,
    B_MARKET,
    B_STATUS,
    BM_CLOSED,
    BM_WORDS,
    FAILED,
    I_ADDRESS,
    I_CONSTANTS,
    I_OUTPUTS,
    I_STATE,
    I_WINDOW,
    INDICATOR_WORDS,
    LEAST_A,
    LEAST_B,
    SLOT_STEP,
    T_A,
    T_A_WORDS,
    T_B,
    T_B_WORDS,
    T_BASE,
    T_COMMIT,
    T_INDICATOR,
    T_INDICATORS,
    T_INTERVAL,
    T_LOCKSTEP,
    T_MARKETS,
    T_OUTPUTS,
    T_PLAIN,
    T_STATE,
    T_STATES,
    T_VALUES,
    T_WARMUP,
    T_WINDOW,
    T_WINDOWS,
    record_offset,
    row_place,
)
from pairsim.market.candle import CANDLE_KIND, KIND_SHIFT, MARKET_MASK
from pairsim.orders.order import D_EMIT, D_INDEX, D_N, D_TICK, D_TRADER, DECISION_WORDS
from pairsim.portfolio.accounting import HOT, JIT

# Kinds of records in a candle ring. HISTORY warms indicators up and is never evaluated; SLICE ends a slice in lockstep.
CANDLE, HISTORY, SLICE, TUNE, PAUSE, RESUME, SWAP, FENCE = (CANDLE_KIND, *range(1, 8))

# What the loop returns to Python.
IDLE, FAILURE, CONTROL, BLOCKED = 0, 1, 2, 3
AGAIN = 4  # inside only: the record takes another commit

# What the loop tells Python of a failure, before anything is committed. The evaluation (trader, n) is not tried again:
# when the loop goes on, that trader has failed. A worker that begins is told so which one its predecessors died of.
(X_TRADER, X_N, X_CODE, X_MIND, X_FRESH, X_TIME, X_RECORD) = range(7)
INFO_WORDS = 7
SCRATCH_WORDS = 64  # of each of three blocks: signals, view, decision

IDLE_NS = 500_000_000  # a look at the parent and at messages between two sleeps
BATCH = 64  # records between two publications of the head
ROOM_NS = 20_000_000  # how long the loop waits for room in the order ring before Python looks at messages

# Offsets handed to the loop, one vector: a namedtuple of 20 scalars would be 20 arguments to every call.
(L_CANDLES, L_STAMPS, L_ORDERS, L_PORTFOLIO, L_CELL, L_CAPACITY) = range(6)
LAY_WORDS = 6


@njit(**HOT)
def _open_candle(mem, memf, a, r, bucket):
    """Merge the base candle at word ``r`` into the open candle at ``a`` (words of slot A)."""
    count = mem[a + AM_COUNT]
    if count == 0:
        mem[a + AM_BUCKET] = bucket
        for w in range(5):
            memf[a + AM_OPEN + w] = memf[r + 3 + w]
    else:
        memf[a + AM_OPEN + 1] = max(memf[a + AM_OPEN + 1], memf[r + 4])
        memf[a + AM_OPEN + 2] = min(memf[a + AM_OPEN + 2], memf[r + 5])
        memf[a + AM_OPEN + 3] = memf[r + 6]
        memf[a + AM_OPEN + 4] += memf[r + 7]
    mem[a + AM_COUNT] = count + 1


@njit(**HOT)
def _copy_slot(mem, to, come_from, words, least):
    """Copy a slot; ``least`` is a constant, so what every slot has takes no loop."""
    copy_words(mem, to, come_from, least)
    for w in range(least, words, SLOT_STEP):
        copy_words(mem, to + w, come_from + w, SLOT_STEP)


@njit(**HOT)
def _close_candle(mem, memf, row, b, candle, k, indicators, constants):
    """The five words at ``candle`` are a closed one: into slot B at ``b``, and through every indicator of market
    ``k``.
    """
    markets, outputs = row[T_MARKETS], row[T_OUTPUTS]
    m = b + B_MARKET + k * BM_WORDS
    copy_words(mem, m, candle, 5)
    index = mem[m + BM_CLOSED]
    mem[m + BM_CLOSED] = index + 1
    first = row[T_INDICATOR]
    state = b + row[T_STATE] + k * row[T_STATES]
    window = row[T_WINDOW] + k * row[T_WINDOWS]
    values = b + row[T_VALUES] + k * outputs
    previous = values + markets * outputs
    if outputs > 0:
        mem[previous] = mem[values]
    for w in range(1, outputs):
        mem[previous + w] = mem[values + w]
    for i in range(first, first + row[T_INDICATORS]):
        indicator = part(indicators, i * INDICATOR_WORDS)
        call(
            indicator[I_ADDRESS], index, address_of(constants, indicator[I_CONSTANTS]), address_of(mem, state),
            address_of(mem, window), address_of(mem, m), address_of(mem, values),
        )  # fmt: skip
        state += indicator[I_STATE]
        window += indicator[I_WINDOW]
        values += indicator[I_OUTPUTS]


@njit(**JIT)
def feed_closed(mem, memf, row, b, a, k, candles, indicators, constants):
    """Warm the indicators of market ``k`` in slot B at ``b`` with closed candles; ``a`` is room for one open candle."""
    indicators = from_front(indicators)
    for i in range(len(candles)):
        for w in range(5):
            memf[a + AM_OPEN + w] = candles[i, w]
        _close_candle(mem, memf, row, b, a + AM_OPEN, k, indicators, constants)


@njit(**HOT)
def _snapshot(row, mem, memf, b, base, decision, decisionf):
    """A whole copy of what the trader may see of the portfolio."""
    sequence = load_acquire(mem, base)
    read_snapshot(row, mem, memf, b, mem, memf, base, decision, decisionf)
    if sequence & 1 == 0 and not read_retry(mem, base, sequence):
        return True
    return _snapshot_again(row, mem, memf, b, base, decision, decisionf)


@njit(**JIT)
def _snapshot_again(row, mem, memf, b, base, decision, decisionf):
    """The same where a writer was met: it is waited for, within bounds."""
    for _ in range(READ_TRIES):
        sequence = read_begin(mem, base)
        read_snapshot(row, mem, memf, b, mem, memf, base, decision, decisionf)
        if not read_retry(mem, base, sequence):
            return True
    return False


@njit(**JIT)
def _push(mem, lay, decision, index):
    """Publish a decision; False when the ring stays full for one deadline."""
    ring = lay[L_ORDERS]
    if room(mem, ring) <= 0 and not wait_for_room(mem, ring, ROOM_NS):
        return False
    end = tail(mem, ring)
    place = record(mem, ring, end)
    mem[place + D_INDEX] = decision[D_INDEX] = end  # R3: before anything else of it
    compiler_fence()
    decision[D_TICK] = mem[lay[L_STAMPS] + (index & (lay[L_CAPACITY] - 1))]
    decision[D_EMIT] = now_ns()
    for w in range(DECISION_WORDS):
        mem[place + w] = decision[w]
    publish(mem, ring, end + 1)
    fence()  # the gate sleeps on one word for all rings
    if load_relaxed(mem, H_GATE_SLEEPS) != 0 and exchange(mem, H_GATE_SLEEPS, 0) != 0:
        wake_word(mem, H_GATE_SLEEPS)
    return True


@njit(**HOT)
def _evaluate(mem, memf, lay, t, n, row, b, address, time, index, told, indicators, scratch, info):
    """Evaluate trader ``t`` in its fresh slot B and publish what it wants; returns 0, FAILURE or BLOCKED."""
    out, view, decision = part(scratch, 0), part(scratch, SCRATCH_WORDS), part(scratch, 2 * SCRATCH_WORDS)
    outf, viewf, decisionf = reals(out), reals(view), reals(decision)
    replay = told >= 0 and mem[told + D_TRADER] == t and mem[told + D_N] == n
    if replay:  # R3: decide again on what was seen then
        for w in range(DECISION_WORDS):
            decision[w] = mem[told + w]
        mem[lay[L_CELL] + W_REPLAYS] += 1
    elif row[T_PLAIN] != 0 and room(mem, lay[L_ORDERS]) <= 0 and not wait_for_room(mem, lay[L_ORDERS], ROOM_NS):
        return BLOCKED  # before it is asked: what Python keeps beside the declared state would be changed twice
    elif not _snapshot(row, mem, memf, b, lay[L_PORTFOLIO], decision, decisionf):
        return BLOCKED
    cell = lay[L_CELL]
    mem[cell + W_ASKED_N], mem[cell + W_ASKED] = n, t + 1
    values = b + row[T_VALUES]
    p_previous = address_of(mem, values + row[T_MARKETS] * row[T_OUTPUTS])
    count = evaluate(
        t, n, row, mem, memf, b, address, address_of(mem, b + record_offset(row[T_MARKETS])), address_of(mem, values),
        p_previous, time,
        mem, memf, lay[L_PORTFOLIO], out, outf, view, viewf, decision, decisionf,
    )  # fmt: skip
    if count < 0:
        info[X_TRADER], info[X_N], info[X_CODE], info[X_FRESH], info[X_TIME] = t, n, count, b, time
        return FAILURE
    if count > 0 and not replay:
        if not _push(mem, lay, decision, index):
            return BLOCKED  # it will be asked again
        mem[cell + W_DECISIONS] = tail(mem, lay[L_ORDERS])
    mem[cell + W_EVALUATED] += 1
    return 0


@njit(**HOT)
def _handle(mem, memf, lay, t, k, r, index, rows, addresses, indicators, constants, told, scratch, info):
    """One record for one trader: the next of the commits it takes (R5). ``k`` is the trader's market, or -1 at the end
    of a slice.

    Returns 0, AGAIN before further commits, FAILURE or BLOCKED.
    """
    trader = part(rows, row_place(t, 0))
    commit = trader[T_COMMIT]
    kind = mem[r] >> KIND_SHIFT
    n = mem[commit]
    words = trader[T_A_WORDS]
    old, new = trader[T_A] + (n & 1) * words, trader[T_A] + (1 - (n & 1)) * words
    version = mem[old + A_VERSION] & 1
    row = part(rows, row_place(t, version))
    markets, interval, base = row[T_MARKETS], row[T_INTERVAL], row[T_BASE]
    time = mem[r + 2] + base
    am = A_MARKET + k * AM_WORDS
    whole = interval == base  # each candle closes as it comes: none is ever open
    last = True  # of the commits of this record
    closes = evaluates = late = False
    due, due_bucket = mem[old + A_DUE], mem[old + A_DUE_BUCKET]
    bucket = mem[r + 2]
    if k < 0:
        if due == 0:
            return 0
        time = bucket
        evaluates = True
        due = 0
    else:
        if mem[old + am + AM_SEQUENCE] >= mem[r + 1]:
            return 0  # R4
        if not whole:  # a division costs as much as the rest of this record: only where a candle begins
            open_bucket = mem[old + am + AM_BUCKET]
            same = mem[old + am + AM_COUNT] > 0 and open_bucket <= bucket < open_bucket + interval
            bucket = open_bucket if same else bucket - bucket % interval
        ends = mem[r + 2] + base == bucket + interval
        if mem[old + am + AM_COUNT] > 0 and mem[old + am + AM_BUCKET] != bucket:
            closes, late, last = True, True, False
            evaluates = not (markets == 1 and ends)
        elif markets > 1 and row[T_LOCKSTEP] == 0 and due != 0 and bucket > due_bucket:
            evaluates, last = True, False
            due = 0
        else:
            closes = evaluates = ends
        if closes and markets > 1:
            closed = mem[old + am + AM_BUCKET] if late else bucket
            due, due_bucket = due | (1 << k), max(due_bucket, closed)
            evaluates = row[T_LOCKSTEP] == 0 and due == (1 << markets) - 1
            if evaluates or kind == HISTORY:  # what closed before the start is not decided on afterwards
                due = 0
    _copy_slot(mem, new, old, words, LEAST_A)
    mem[new + A_DUE], mem[new + A_DUE_BUCKET] = due, due_bucket
    if last and k >= 0:
        mem[new + am + AM_SEQUENCE] = mem[r + 1]
        if not whole:
            _open_candle(mem, memf, new + am, r, bucket)
    if closes or evaluates:
        c = mem[old + A_CLOSES]
        size = row[T_B_WORDS]
        mind, fresh = row[T_B] + (c & 1) * size, row[T_B] + (1 - (c & 1)) * size
        mem[new + A_CLOSES] = c + 1
        _copy_slot(mem, fresh, mind, size, LEAST_B)
        if closes:
            _close_candle(mem, memf, row, fresh, r + 3 if whole else new + am + AM_OPEN, k, indicators, constants)
            if not whole:
                mem[new + am + AM_COUNT] = 0
        warm = kind != HISTORY and mem[fresh + B_STATUS] == ACTIVE
        warm = warm and mem[fresh + B_MARKET + BM_CLOSED] >= row[T_WARMUP]
        for j in range(1, markets):
            warm = warm and mem[fresh + B_MARKET + j * BM_WORDS + BM_CLOSED] >= row[T_WARMUP]
        if evaluates and warm:
            if t == info[X_TRADER] and n == info[X_N]:
                mem[fresh + B_STATUS] = FAILED
                mem[fresh + B_ERRORS] += 1
            else:
                info[X_MIND] = mind
                code = _evaluate(
                    mem,
                    memf,
                    lay,
                    t,
                    n,
                    row,
                    fresh,
                    addresses[2 * t + version],
                    time,
                    index,
                    told,
                    indicators,
                    scratch,
                    info,
                )
                if code != 0:
                    return code
    compiler_fence()
    store_release(mem, commit, n + 1)
    compiler_fence()
    return 0 if last else AGAIN


@njit(**JIT)
def apply_control(mem, memf, r, rows, version, record_word, value, status):
    """Commit a control record that changes a trader's slot B in place of a candle.

    version : the new strategy version or -1. record_word : word of the record to set to ``value``, or -1. status : or
        -1.
    """
    rows = from_front(rows)
    t = mem[r] & MARKET_MASK
    trader = part(rows, row_place(t, 0))
    commit = trader[T_COMMIT]
    n = mem[commit]
    words = trader[T_A_WORDS]
    old, new = trader[T_A] + (n & 1) * words, trader[T_A] + (1 - (n & 1)) * words
    if mem[old + A_CONTROL] >= mem[r + 1]:
        return
    _copy_slot(mem, new, old, words, LEAST_A)
    mem[new + A_CONTROL] = mem[r + 1]
    c = mem[old + A_CLOSES]
    mem[new + A_CLOSES] = c + 1
    if version >= 0:  # the new version's slot was written by Python into its own place of parity (c + 1) & 1
        mem[new + A_VERSION] = version
    else:
        row = part(rows, row_place(t, mem[old + A_VERSION]))
        size = row[T_B_WORDS]
        mind, fresh = row[T_B] + (c & 1) * size, row[T_B] + (1 - (c & 1)) * size
        _copy_slot(mem, fresh, mind, size, LEAST_B)
        if record_word >= 0:
            mem[fresh + record_offset(row[T_MARKETS]) + record_word] = value
        if status >= 0:
            mem[fresh + B_STATUS] = status
    compiler_fence()
    store_release(mem, commit, n + 1)
    compiler_fence()


@njit(**JIT)
def run_worker(
    mem,
    memf,
    lay,
    start,
    budget_ns,
    subscribers,
    subscription,
    rows,
    addresses,
    indicators,
    constants,
    scratch,
    info,
):
    """Handle records from index ``start`` on, until there are none for a while or Python is needed.

    subscribers, subscription : for each market the rows (trader, k) of this worker's traders; behind the last
        market's, with k = -1, the traders of several markets, which run at the end of a slice. Returns (reason, index
        reached); what Python must know of a failure stands in ``info``.
    """
    slice_first, slice_last = subscribers[-1], len(subscription)
    mem, lay, scratch = from_front(mem), from_front(lay), from_front(scratch)
    memf = reals(mem)
    subscribers, subscription, info = from_front(subscribers), from_front(subscription), from_front(info)
    rows, addresses, indicators = from_front(rows), from_front(addresses), from_front(indicators)
    ring, cell = lay[L_CANDLES], lay[L_CELL]
    orders = lay[L_ORDERS]
    sent = tail(mem, orders)
    told = record(mem, orders, sent - 1) if sent > 0 else np.int64(-1)  # stays readable after it was popped
    if sent > 0 and mem[told + D_INDEX] != sent - 1:
        told = np.int64(-1)
    mem[cell + W_HANDLED], mem[cell + W_DECISIONS] = start, sent
    index, freed = start, head(mem, ring)
    until = now_ns() + budget_ns
    while True:
        end = min(tail(mem, ring), index + BATCH)
        while index < end:
            r = record(mem, ring, index)
            kind, market = mem[r] >> KIND_SHIFT, mem[r] & MARKET_MASK
            code = 0
            if kind <= SLICE:
                q, last = subscribers[market], subscribers[market + 1]
                if kind == SLICE:
                    q, last = slice_first, slice_last
                while q < last and code == 0:
                    code = _handle(
                        mem, memf, lay, subscription[2 * q], subscription[2 * q + 1], r, index, rows, addresses,
                        indicators, constants, told, scratch, info,
                    )  # fmt: skip
                    if code == AGAIN:
                        code = 0
                    else:
                        q += 1
            elif kind == TUNE:
                apply_control(mem, memf, r, rows, -1, mem[r + 3], mem[r + 4], -1)
            elif kind in (PAUSE, RESUME):
                apply_control(mem, memf, r, rows, -1, -1, 0, 1 if kind == PAUSE else 0)
            elif kind == SWAP:
                code = CONTROL
            if code != 0:
                break
            index += 1
        else:
            code = 0
        if index > freed:
            freed = index
            mem[cell + W_HANDLED] = index
            release(mem, ring, index)
            wake_producer(mem, ring)
        if code != 0:
            info[X_RECORD] = index
            return code, index
        if now_ns() > until:
            return IDLE, index
        if index >= tail(mem, ring):
            wait_for_data(mem, ring, IDLE_NS)
