"""Kernels of the scenarios in `two_processes`: streams that check themselves, and races held as narrow as possible."""

import numpy as np
from numba import carray, njit

from pairsim.channels.atomics import (
    cpu_pause,
    fence,
    fetch_add,
    load_acquire,
    load_relaxed,
    now_ns,
    store_relaxed,
    store_release,
)
from pairsim.channels.native import pointer
from pairsim.channels.ring import (
    _CONSUMER_SLEEPS,
    _PRODUCER_SLEEPS,
    _RECORD,
    _arm_producer,
    arm_consumer,
    available,
    head,
    pop,
    publish,
    push,
    record,
    release,
    room,
    tail,
    wait_for_data,
    wait_for_room,
    wake_consumer,
    wake_producer,
)
from pairsim.channels.seqlock import READ_TRIES, read_begin, read_retry, write_begin, write_end
from pairsim.channels.waiting import sleep_ns

# ---------------------------------------------------------------- records that check themselves


@njit(cache=True, nogil=True, error_model="numpy")
def mixed(x):
    """A word that looks random and depends on every bit of `x` (xorshift-multiply)."""
    x = (x ^ ((x >> 30) & 0x3FFFFFFFF)) * 0x3F58476D1CE4E5B9
    x = (x ^ ((x >> 27) & 0x1FFFFFFFFF)) * 0x14D049BB133111EB
    return x ^ ((x >> 31) & 0x1FFFFFFFF)


@njit(cache=True, nogil=True, error_model="numpy")
def fill(words, at, width, i):
    """Record `i`: its number, mixed words, and a checksum of all of them."""
    words[at] = i
    total = i
    for w in range(1, width - 1):
        words[at + w] = mixed(i * width + w)
        total += words[at + w] * (2 * w + 1)
    if width > 1:
        words[at + width - 1] = total


@njit(cache=True, nogil=True, error_model="numpy")
def is_bad(words, at, width, i):
    """Whether this is not record `i`, whole."""
    if words[at] != i:
        return 1
    total = i
    for w in range(1, width - 1):
        if words[at + w] != mixed(i * width + w):
            return 1
        total += words[at + w] * (2 * w + 1)
    return np.int64(width > 1 and words[at + width - 1] != total)


@njit(cache=True, nogil=True, error_model="numpy")
def dawdle(draw):
    """Once in 64 draws, lose some time: the two sides must meet in every phase."""
    if draw & 63 == 0:
        for _ in range((draw >> 6) & 255):
            cpu_pause()


@njit(cache=True, nogil=True, error_model="numpy")
def produce(mem, base, count, seed, deadline_ns):
    """`count` records without copying, 1 to 64 to a publish. Returns how many waits ran into their deadline."""
    width = mem[base + _RECORD]
    at = tail(mem, base)
    end, lost = at + count, 0
    while at < end:
        begin = now_ns()
        while not wait_for_room(mem, base, deadline_ns):
            if now_ns() - begin >= deadline_ns:
                lost += 1
        draw = mixed(seed + at)
        dawdle(draw >> 8)
        n = min(room(mem, base), 1 + (draw & 63), end - at)
        for i in range(at, at + n):
            fill(mem, record(mem, base, i), width, i)
        at += n
        publish(mem, base, at)
        wake_consumer(mem, base, -1)
    return lost


@njit(cache=True, nogil=True, error_model="numpy")
def consume(mem, base, count, seed, deadline_ns):
    """`count` records without copying. Returns how many were bad and how many waits ran into their deadline."""
    width = mem[base + _RECORD]
    at = head(mem, base)
    end, bad, lost = at + count, 0, 0
    while at < end:
        begin = now_ns()
        while not wait_for_data(mem, base, deadline_ns):
            if now_ns() - begin >= deadline_ns:
                lost += 1
        draw = mixed(seed + at)
        dawdle(draw >> 8)
        n = min(available(mem, base), 1 + (draw & 63))
        for i in range(at, at + n):
            bad += is_bad(mem, record(mem, base, i), width, i)
        at += n
        release(mem, base, at)
        wake_producer(mem, base)
    return bad, lost


@njit(cache=True, nogil=True, error_model="numpy")
def consume_some(mem, base, end, seed, timeout_ns):
    """What is there after one wait, below `end`. Returns how many were bad."""
    width = mem[base + _RECORD]
    wait_for_data(mem, base, timeout_ns)
    at = head(mem, base)
    n = min(available(mem, base), end - at)
    bad = 0
    for i in range(at, at + n):
        bad += is_bad(mem, record(mem, base, i), width, i)
    release(mem, base, at + n)
    wake_producer(mem, base)
    return bad


@njit(cache=True, nogil=True, error_model="numpy")
def push_all(mem, base, count, seed, deadline_ns):
    """As `produce`, through the copying functions."""
    width = mem[base + _RECORD]
    records = np.zeros((64, width), np.int64)
    words = records.reshape(-1)
    at = tail(mem, base)
    end, lost = at + count, 0
    while at < end:
        draw = mixed(seed + at)
        dawdle(draw >> 8)
        n = min(1 + (draw & 63), end - at)
        for j in range(n):
            fill(words, j * width, width, at + j)
        done = 0
        while done < n:
            begin = now_ns()
            done += push(mem, base, records[done:n], -1, deadline_ns)
            lost += done < n and now_ns() - begin >= deadline_ns
        at += n
    return lost


@njit(cache=True, nogil=True, error_model="numpy")
def pop_all(mem, base, count, seed, deadline_ns):
    """As `consume`, through the copying functions."""
    width = mem[base + _RECORD]
    out = np.zeros((64, width), np.int64)
    words = out.reshape(-1)
    at = head(mem, base)
    end, bad, lost = at + count, 0, 0
    while at < end:
        draw = mixed(seed + at)
        dawdle(draw >> 8)
        begin = now_ns()
        n = pop(mem, base, out[: min(1 + (draw & 63), end - at)], deadline_ns)
        lost += n == 0 and now_ns() - begin >= deadline_ns
        for j in range(n):
            bad += is_bad(words, j * width, width, at + j)
        at += n
    return bad, lost


# ---------------------------------------------------------------- sleeping and waking


@njit(cache=True, nogil=True, error_model="numpy")
def serve(mem, there, back, trips, seed, deadline_ns):
    """Send a record, wait for its answer; pauses now and then, so that the other side is met falling asleep."""
    lost = 0
    for trip in range(trips):
        dawdle(mixed(seed + trip))
        lost += produce(mem, there, 1, 0, deadline_ns)
        _, late = consume(mem, back, 1, 0, deadline_ns)
        lost += late
    return lost


@njit(cache=True, nogil=True, error_model="numpy")
def bounce(mem, there, back, trips, deadline_ns):
    """Answer each record with one."""
    lost = 0
    for _ in range(trips):
        _, late = consume(mem, there, 1, 0, deadline_ns)
        lost += late + produce(mem, back, 1, 0, deadline_ns)
    return lost


@njit(cache=True, nogil=True, error_model="numpy")
def burst_size(k):
    """1 to 200 records: less and more than one callback takes."""
    return 1 + (mixed(k) & 255) * 199 // 255 if mixed(k) & 7 == 0 else 1


@njit(cache=True, nogil=True, error_model="numpy")
def burst_total(bursts):
    """Records in so many bursts."""
    total = 0
    for k in range(bursts):
        total += burst_size(k)
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def produce_bursts(mem, base, bursts, write_fd, seed, deadline_ns):
    """A burst, a ring of the bell, wait until all is taken: a wake-up that is lost is not healed by the next burst."""
    lost, at = 0, tail(mem, base)
    for k in range(bursts):
        n = burst_size(k)
        for i in range(at, at + n):
            fill(mem, record(mem, base, i), 2, i)
        at += n
        publish(mem, base, at)
        wake_consumer(mem, base, write_fd)
        begin, looks = now_ns(), 0
        while head(mem, base) < at:
            looks += 1
            if looks > 1000:
                sleep_ns(20_000)
            if now_ns() - begin >= deadline_ns:
                lost += 1
                wake_consumer(mem, base, write_fd)
                begin = now_ns()
        dawdle(mixed(seed + k))
    return lost


@njit(cache=True, nogil=True, error_model="numpy")
def take(mem, base, limit):
    """Take up to `limit` records; returns how many were bad."""
    at = head(mem, base)
    n = min(available(mem, base), limit)
    bad = 0
    for i in range(at, at + n):
        bad += is_bad(mem, record(mem, base, i), 2, i)
    release(mem, base, at + n)
    return bad


@njit(cache=True, nogil=True, error_model="numpy")
def wait_once(mem, base, timeout_ns):
    """One wait on an empty ring: how long, and whether there was data."""
    begin = now_ns()
    got = wait_for_data(mem, base, timeout_ns)
    return now_ns() - begin, got


# ---------------------------------------------------------------- races, round by round

FEWEST = 1_000  # rounds, however slow they are
MINE, THEIRS = 0, 128  # two words far apart, for whichever process
ARRIVED = 32  # + 128 for the other: how often it came to the barrier
BOTH_MISSED = 64
STOP = 80
SAW = 96  # + 128: what the last look showed


@njit(cache=True, nogil=True, error_model="numpy")
def meet(mem, mine, theirs, turn):
    """Both processes leave together, within some nanoseconds where there are two cores."""
    store_release(mem, mine, turn)
    looks = 0
    while load_acquire(mem, theirs) < turn:
        looks += 1
        if looks > 5_000:  # one core only, or the other was stopped
            sleep_ns(1_000)


@njit(cache=True, nogil=True, error_model="numpy")
def store_then_look(mem, side, rounds, fenced, until_ns):
    """Store my word, look at the other's: without a fence both may look before the other's store has left its core."""
    mine, theirs = 128 * side, 128 * (1 - side)
    for turn in range(1, rounds + 1):
        if side == 0 and turn > FEWEST and now_ns() > until_ns:
            store_relaxed(mem, STOP, 1)
        meet(mem, mine + ARRIVED, theirs + ARRIVED, 2 * turn - 1)
        if load_relaxed(mem, STOP):
            return
        store_relaxed(mem, mine, turn)
        if fenced:
            fence()
        saw = load_relaxed(mem, theirs)
        store_relaxed(mem, mine + SAW, saw)
        meet(mem, mine + ARRIVED, theirs + ARRIVED, 2 * turn)
        if side == 0 and saw < turn and load_relaxed(mem, theirs + SAW) < turn:
            mem[BOTH_MISSED] += 1


# Words before the ring: of the barrier (on one line, which makes the race tighter), and the end.
LEFT, RIGHT, OVER = 0, 8, 12


@njit(cache=True, nogil=True, error_model="numpy")
def stagger(seed, turn):
    """A few instructions, another number each round, so that the two sides overlap in every way."""
    x = mixed(seed * 1_000_003 + turn)
    for _ in range(x & 31):
        x = mixed(x)
    return x


@njit(cache=True, nogil=True, error_model="numpy")
def consumer_falls_asleep(mem, base, rounds, until_ns):
    """Arm while the other publishes. Asleep with the flag still up after both are done is a lost wake-up."""
    slept, lost, junk = 0, 0, 0
    for turn in range(1, rounds + 1):
        if now_ns() > until_ns:
            store_relaxed(mem, OVER, 1)
        meet(mem, LEFT, RIGHT, 2 * turn - 1)
        if load_relaxed(mem, OVER):
            break
        junk ^= stagger(1, turn)
        sleeps = arm_consumer(mem, base)
        meet(mem, LEFT, RIGHT, 2 * turn)
        slept += sleeps
        lost += sleeps and load_acquire(mem, base + _CONSUMER_SLEEPS) != 0
        store_relaxed(mem, base + _CONSUMER_SLEEPS, 0)
        release(mem, base, turn)
    mem[LEFT + 1] = junk
    return slept, lost


@njit(cache=True, nogil=True, error_model="numpy")
def producer_wakes(mem, base, rounds):
    """Publish one record a round while the other arms."""
    junk = 0
    for turn in range(1, rounds + 1):
        meet(mem, RIGHT, LEFT, 2 * turn - 1)
        if load_relaxed(mem, OVER):
            break
        junk ^= stagger(2, turn)
        publish(mem, base, turn)
        wake_consumer(mem, base, -1)
        meet(mem, RIGHT, LEFT, 2 * turn)
    mem[RIGHT + 1] = junk


@njit(cache=True, nogil=True, error_model="numpy")
def producer_falls_asleep(mem, base, rounds, until_ns):
    """Arm on a full ring while the other releases."""
    slept, lost, junk = 0, 0, 0
    for turn in range(1, rounds + 1):
        publish(mem, base, turn)  # capacity 1: full
        if now_ns() > until_ns:
            store_relaxed(mem, OVER, 1)
        meet(mem, LEFT, RIGHT, 2 * turn - 1)
        if load_relaxed(mem, OVER):
            break
        junk ^= stagger(1, turn)
        sleeps = _arm_producer(mem, base, turn - 1)
        meet(mem, LEFT, RIGHT, 2 * turn)
        slept += sleeps
        lost += sleeps and load_acquire(mem, base + _PRODUCER_SLEEPS) != 0
        store_relaxed(mem, base + _PRODUCER_SLEEPS, 0)
    mem[LEFT + 1] = junk
    return slept, lost


@njit(cache=True, nogil=True, error_model="numpy")
def consumer_wakes(mem, base, rounds):
    """Release one record a round while the other arms."""
    junk = 0
    for turn in range(1, rounds + 1):
        meet(mem, RIGHT, LEFT, 2 * turn - 1)
        if load_relaxed(mem, OVER):
            break
        junk ^= stagger(2, turn)
        release(mem, base, turn)
        wake_producer(mem, base)
        meet(mem, RIGHT, LEFT, 2 * turn)
    mem[RIGHT + 1] = junk


@njit(cache=True, nogil=True, error_model="numpy")
def add_often(mem, index, additions):
    """Count in a word that another process counts in too."""
    for _ in range(additions):
        fetch_add(mem, index, 1)


# ---------------------------------------------------------------- seqlock


@njit(cache=True, nogil=True, error_model="numpy")
def write_equations(mem, floats, base, stop, writes):
    """Write k: 8 words that are all functions of k, by plain stores, until told to stop."""
    first, junk = load_relaxed(mem, base) // 2, 0
    for k in range(first + 1, first + 1 + writes):
        write_begin(mem, base)
        mem[base + 1] = k
        mem[base + 2] = 3 * k + 1
        floats[base + 3] = k * 0.5
        mem[base + 4] = ~k
        mem[base + 5] = mixed(k)
        mem[base + 6] = k * k
        floats[base + 7] = -float(k)
        mem[base + 8] = 5 * k + mixed(k)
        write_end(mem, base)
        junk ^= stagger(3, k)
        if load_relaxed(mem, stop) != 0:
            break
    mem[stop + 1] = junk


@njit(cache=True, nogil=True, error_model="numpy")
def broken_equations(mem, floats, base):
    """How many of the equations do not hold of what is read now, and k."""
    k = mem[base + 1]
    broken = np.int64(mem[base + 2] != 3 * k + 1)
    broken += floats[base + 3] != k * 0.5
    broken += mem[base + 4] != ~k
    broken += mem[base + 5] != mixed(k)
    broken += mem[base + 6] != k * k
    broken += floats[base + 7] != -float(k)
    broken += mem[base + 8] != 5 * k + mixed(k)
    return broken, k


@njit(cache=True, nogil=True, error_model="numpy")
def read_equations(mem, floats, base, reads, until_ns, second_look):
    """Read at least so often and until 300 copies were new (seconds, where both sides share one core), or until the
    time is over. Returns torn copies kept, reads given up, and copies that were new."""
    torn, gave_up, changes, last, done = 0, 0, 0, 0, 0
    while (done < reads or changes < 300) and now_ns() < until_ns:
        done += 1
        kept = False
        for _ in range(READ_TRIES):
            sequence = read_begin(mem, base)
            broken, k = broken_equations(mem, floats, base)
            if not second_look or not read_retry(mem, base, sequence):
                kept = True
                break
        gave_up += not kept
        torn += kept and (broken != 0 or (second_look and sequence != 2 * k))
        changes += k != last
        last = k
    return torn, gave_up, changes


@njit(cache=True, nogil=True, error_model="numpy")
def poke(address):
    """Write to a raw address."""
    carray(pointer(address), 1, np.int64)[0] = 1
