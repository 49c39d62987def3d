"""A ring of records between one producer and one consumer, in shared memory, as numba kernels.

The rule: every word has one writer, except the two sleep flags, which both sides change with atomic operations only.

Layout
------
All offsets are in words from `base`, which should be a multiple of 16. Capacity and record length stand in the
header, so every kernel takes ``(mem, base)``. What one side writes often has a 128-byte line of its own (16 words:
two cache lines, because the prefetcher fetches pairs)::

    0    mask (capacity - 1), record words, spins        written once, by `init_ring`
    16   tail | cached head, high-water mark, ...        the producer's
    32   head | cached tail                              the consumer's
    48   the consumer sleeps                             both, atomically; low half = futex word
    64   the producer sleeps                             both, atomically; low half = futex word
    80   capacity * record words

Tail and head count records since the beginning and never wrap (at 40 M records a second, 2**63 lasts 7,000 years).
Record `i` lives in place ``i & mask``. Always ``head <= tail <= head + capacity``.

Why no record is read torn, lost or overwritten
-----------------------------------------------
1. *The consumer reads only finished records.* The producer writes record `i` with plain stores and then stores ``tail
   > i`` with release. The consumer reads record `i` only after it has loaded a ``tail > i`` with acquire. Release and
   acquire of the same word synchronise, so the plain stores happen before the plain loads.
2. *The producer overwrites only records that were read.* It writes record `i` only after it has loaded ``head > i -
   capacity`` with acquire, which the consumer stored with release after its last load of record ``i - capacity``.
   Same argument, other direction. A cached head (or tail) is an older value of a number that only grows: it makes
   room (or data) look smaller, never larger.
3. *One store publishes.* However many records were written, they appear with the one store of `tail`. A producer that
   is killed between two stores has published all or nothing; what stands beyond `tail` nobody reads.

Why no wake-up is lost
----------------------
The sleeper stores its flag, fences, and looks at the ring again; the other side stores its index, fences, and looks
at the flag. This is the store-buffer pattern: both fences are sequentially consistent, so one of them is first in
their single order, and the side that fences second sees what the other stored before its fence. Hence either the
sleeper sees the new index and does not sleep, or the waker sees the flag. Release and acquire alone would allow both
to miss, on x86 too: with any one of the four fences taken away, 5 to 600 of 100,000 sleeps were never ended.

The waker clears the flag by an exchange before it wakes. The futex sleeps only while the flag is still 1, checked by
the kernel under its lock, so a wake-up between the last look and the sleep makes it return at once. A doorbell stays
readable until it is cleared. A waker killed between clearing the flag and the wake-up loses it: every futex wait has
a deadline, and whoever replaces the dead calls `rouse`.
"""

from typing import Any, Final

from numba import njit
from numpy.typing import NDArray

from pairsim.channels.atomics import (
    cpu_pause,
    exchange,
    fence,
    load_acquire,
    load_relaxed,
    now_ns,
    store_relaxed,
    store_release,
)
from pairsim.channels.native import Words, get_word, set_word
from pairsim.channels.waiting import ring_doorbell, wait_word, wake_word
from pairsim.errors import InputError

__all__ = [
    "arm_consumer",
    "available",
    "head",
    "init_ring",
    "pop",
    "publish",
    "push",
    "record",
    "release",
    "ring_stats",
    "ring_words",
    "room",
    "room_for",
    "rouse",
    "tail",
    "try_pop",
    "try_push",
    "wait_for_data",
    "wait_for_release",
    "wait_for_room",
    "wake_consumer",
    "wake_producer",
]

LINE: Final = 16  # words
HEADER_WORDS: Final = 80
SLICE_NS: Final = 20_000_000  # a kernel that waits must come back to Python this often, or Ctrl-C is dead

_MASK, _RECORD, _SPINS = 0, 1, 2
_TAIL, _CACHED_HEAD, _HIGH_WATER, _NEXT_LOOK, _STALLS, _BLOCKED_NS, _STALLED_AT = 16, 17, 18, 19, 20, 21, 22
_HEAD, _CACHED_TAIL = 32, 33
_CONSUMER_SLEEPS = 48
_PRODUCER_SLEEPS = 64


# ---------------------------------------------------------------- making one, in Python


def ring_words(capacity: int, record_words: int) -> int:
    """Words that a ring takes, a multiple of 16.

    Parameters
    ----------
    capacity : int
        Records the ring holds: a power of two, 1 included.
    record_words : int
        Words of one record.
    """
    if capacity < 1 or capacity & (capacity - 1):
        raise InputError(f"a ring of {capacity} records: the capacity must be a power of two (1, 2, 4, ...)")
    if record_words < 1:
        raise InputError(f"records of {record_words} words: a record needs at least 1")
    words = HEADER_WORDS + capacity * record_words
    return (words + LINE - 1) // LINE * LINE


def init_ring(mem: Words, base: int, capacity: int, record_words: int, *, spins: int = 0) -> int:
    """Make an empty ring at `base`, before any other process looks at it; returns the first word behind it.

    `spins` is how often either side looks again before it sleeps (a pause takes 10 to 50 ns). It shortens the wait
    between two busy cores and only burns time where cores are short; so it is off unless asked for.
    """
    end = base + ring_words(capacity, record_words)
    if base < 0 or end > len(mem):
        raise InputError(
            f"a ring from word {base} to {end} does not fit into {len(mem)} words; ask ring_words() for its size"
        )
    mem[base : base + HEADER_WORDS] = 0
    mem[base + _MASK] = capacity - 1
    mem[base + _RECORD] = record_words
    mem[base + _SPINS] = spins
    mem[base + _STALLED_AT] = -1
    return end


def ring_stats(mem: Words, base: int) -> dict[str, int]:
    """What a ring has seen, readable by anyone, also through read-only memory.

    Returns
    -------
    dict
        ``depth`` records published and not released, ``high_water`` the highest depth the producer has seen (it looks
        at every publish, but at most every capacity / 64 records), ``capacity``, ``pushed`` and ``popped`` records
        since the beginning, ``stalls`` times the producer had to wait for room, ``blocked_ns`` how long it waited.
    """
    popped = int(mem[base + _HEAD])  # before the tail, or the depth could come out negative
    pushed = int(mem[base + _TAIL])
    capacity = int(mem[base + _MASK]) + 1
    return {
        "depth": min(pushed - popped, capacity),
        "high_water": int(mem[base + _HIGH_WATER]),
        "capacity": capacity,
        "pushed": pushed,
        "popped": popped,
        "stalls": int(mem[base + _STALLS]),
        "blocked_ns": int(mem[base + _BLOCKED_NS]),
    }


# ---------------------------------------------------------------- without copying


@njit(cache=True, nogil=True, error_model="numpy")
def tail(mem: Words, base: int) -> int:
    """Records published so far; those below it may be read."""
    return load_acquire(mem, base + _TAIL)


@njit(cache=True, nogil=True, error_model="numpy")
def head(mem: Words, base: int) -> int:
    """Records released so far; their places may be overwritten."""
    return load_acquire(mem, base + _HEAD)


@njit(cache=True, nogil=True, error_model="numpy")
def record(mem: Words, base: int, index: int) -> int:
    """Offset in `mem` of the first word of record `index`."""
    return base + HEADER_WORDS + (index & mem[base + _MASK]) * mem[base + _RECORD]


@njit(cache=True, nogil=True, error_model="numpy")
def room_for(mem: Words, base: int, wanted: int) -> int:
    """Producer: how many records may be written behind `tail`; looks at the consumer's line only below `wanted`."""
    end = load_relaxed(mem, base + _TAIL)
    capacity = mem[base + _MASK] + 1
    free = capacity - (end - mem[base + _CACHED_HEAD])
    if free < wanted:
        _look_at_head(mem, base, end)
        free = capacity - (end - mem[base + _CACHED_HEAD])
    return free


@njit(cache=True, nogil=True, error_model="numpy")
def room(mem: Words, base: int) -> int:
    """Producer: how many records may be written behind `tail`, at least; 0 only when the ring is full."""
    return room_for(mem, base, 1)


@njit(cache=True, nogil=True, error_model="numpy")
def publish(mem: Words, base: int, new_tail: int) -> None:
    """Producer: make all records below `new_tail` visible, with one store. It wakes nobody: see `wake_consumer`."""
    store_release(mem, base + _TAIL, new_tail)
    if new_tail >= mem[base + _NEXT_LOOK]:
        _look_at_head(mem, base, new_tail)


@njit(cache=True, nogil=True, error_model="numpy")
def _look_at_head(mem: Words, base: int, end: int) -> None:
    """Refresh the cached head, raise the high-water mark, and say when the mark could next be passed.

    Looking costs a cache miss. The depth grows by at most one a record, so it cannot pass the mark before (mark -
    depth) more records; and capacity / 64 records are always let go by, which is all the mark may be wrong by.
    """
    cached = load_acquire(mem, base + _HEAD)
    mem[base + _CACHED_HEAD] = cached
    depth = end - cached
    if depth > mem[base + _HIGH_WATER]:
        mem[base + _HIGH_WATER] = depth
    mem[base + _NEXT_LOOK] = end + max(mem[base + _HIGH_WATER] - depth + 1, mem[base + _MASK] >> 6)


@njit(cache=True, nogil=True, error_model="numpy")
def available(mem: Words, base: int) -> int:
    """Consumer: how many records from `head` on may be read, at least; 0 only when the ring is empty.

    A consumer that reads ahead of the head it has released asks `tail` instead.
    """
    start = load_relaxed(mem, base + _HEAD)
    ready = mem[base + _CACHED_TAIL] - start
    if ready <= 0:
        mem[base + _CACHED_TAIL] = load_acquire(mem, base + _TAIL)
        ready = mem[base + _CACHED_TAIL] - start
    return ready


@njit(cache=True, nogil=True, error_model="numpy")
def release(mem: Words, base: int, new_head: int) -> None:
    """Consumer: all records below `new_head` may be overwritten. It wakes nobody: see `wake_producer`."""
    store_release(mem, base + _HEAD, new_head)


# ---------------------------------------------------------------- sleeping and waking


@njit(cache=True, nogil=True, error_model="numpy")
def wake_consumer(mem: Words, base: int, write_fd: int) -> None:
    """Producer, after `publish`: wake a sleeping consumer by its doorbell, or by its futex when `write_fd` is -1."""
    fence()
    if load_relaxed(mem, base + _CONSUMER_SLEEPS) != 0 and exchange(mem, base + _CONSUMER_SLEEPS, 0) != 0:
        if write_fd < 0:
            wake_word(mem, base + _CONSUMER_SLEEPS)
        else:
            ring_doorbell(write_fd)


@njit(cache=True, nogil=True, error_model="numpy")
def wake_producer(mem: Words, base: int) -> None:
    """Consumer, after `release`: wake the producer if it sleeps."""
    fence()
    if load_relaxed(mem, base + _PRODUCER_SLEEPS) != 0 and exchange(mem, base + _PRODUCER_SLEEPS, 0) != 0:
        wake_word(mem, base + _PRODUCER_SLEEPS)


@njit(cache=True, nogil=True, error_model="numpy")
def rouse(mem: Words, base: int, write_fd: int) -> None:
    """Either side, or their supervisor: wake both whatever the flags say; harmless at any time.

    For the successor of a killed process, which may have died between clearing a flag and the wake-up.
    """
    store_release(mem, base + _CONSUMER_SLEEPS, 0)
    wake_word(mem, base + _CONSUMER_SLEEPS)
    if write_fd >= 0:
        ring_doorbell(write_fd)
    store_release(mem, base + _PRODUCER_SLEEPS, 0)
    wake_word(mem, base + _PRODUCER_SLEEPS)


@njit(cache=True, nogil=True, error_model="numpy")
def _has_data(mem: Words, base: int) -> bool:
    return load_acquire(mem, base + _TAIL) > load_relaxed(mem, base + _HEAD)


@njit(cache=True, nogil=True, error_model="numpy")
def _is_released(mem: Words, base: int, seen_head: int) -> bool:
    return load_acquire(mem, base + _HEAD) > seen_head


@njit(cache=True, nogil=True, error_model="numpy")
def arm_consumer(mem: Words, base: int) -> bool:
    """Consumer in an event loop: ask for the doorbell at the next record, then look again.

    Returns
    -------
    bool
        True: armed, wait for the doorbell. False: there are records now; take them, then arm again. So a reader
        callback clears the doorbell, takes at most a batch, releases, arms, and calls itself soon when this is False.
    """
    store_relaxed(mem, base + _CONSUMER_SLEEPS, 1)
    fence()
    if not _has_data(mem, base):
        return True
    store_relaxed(mem, base + _CONSUMER_SLEEPS, 0)
    return False


@njit(cache=True, nogil=True, error_model="numpy")
def wait_for_data(mem: Words, base: int, timeout_ns: int) -> bool:
    """Consumer: sleep until a record is ready, for one deadline at most. What was read must be released first.

    Returns
    -------
    bool
        Whether there is a record. False also after a signal or a wake-up for nothing: do what is due and call again.
    """
    for _ in range(mem[base + _SPINS]):
        if _has_data(mem, base):
            return True
        cpu_pause()
    if arm_consumer(mem, base):
        wait_word(mem, base + _CONSUMER_SLEEPS, 1, timeout_ns)
        store_relaxed(mem, base + _CONSUMER_SLEEPS, 0)
    return _has_data(mem, base)


@njit(cache=True, nogil=True, error_model="numpy")
def wait_for_room(mem: Words, base: int, timeout_ns: int) -> bool:
    """Producer: sleep until a record can be written, for one deadline at most; counts the stall and the time.

    Several waits for one and the same place are one stall. Returns whether there is room, False as in `wait_for_data`.
    """
    full = load_relaxed(mem, base + _TAIL) - mem[base + _MASK] - 1  # where the head stands when there is no room
    return wait_for_release(mem, base, full, timeout_ns)


@njit(cache=True, nogil=True, error_model="numpy")
def wait_for_release(mem: Words, base: int, seen_head: int, timeout_ns: int) -> bool:
    """Producer: sleep until the head is past `seen_head`, for one deadline at most; counts like `wait_for_room`.

    For a producer that is held back by less than the whole ring, such as by a limit on records outstanding.
    """
    if _is_released(mem, base, seen_head):
        return True
    begin = now_ns()
    end = load_relaxed(mem, base + _TAIL)
    if mem[base + _STALLED_AT] != end:
        mem[base + _STALLED_AT] = end
        mem[base + _STALLS] += 1
    for _ in range(mem[base + _SPINS]):
        if _is_released(mem, base, seen_head):
            break
        cpu_pause()
    else:
        if _arm_producer(mem, base, seen_head):
            wait_word(mem, base + _PRODUCER_SLEEPS, 1, timeout_ns)
            store_relaxed(mem, base + _PRODUCER_SLEEPS, 0)
    mem[base + _BLOCKED_NS] += now_ns() - begin
    return _is_released(mem, base, seen_head)


@njit(cache=True, nogil=True, error_model="numpy")
def _arm_producer(mem: Words, base: int, seen_head: int) -> bool:
    """The same as `arm_consumer`, the other way round."""
    store_relaxed(mem, base + _PRODUCER_SLEEPS, 1)
    fence()
    if not _is_released(mem, base, seen_head):
        return True
    store_relaxed(mem, base + _PRODUCER_SLEEPS, 0)
    return False


# ---------------------------------------------------------------- copying, for convenience


@njit(cache=True, nogil=True, error_model="numpy")
def try_push(mem: Words, base: int, records: NDArray[Any]) -> int:
    """Producer: copy in as many of `records` (int64 or float64 [n, record words]) as fit, and publish them.

    Returns how many, 0 when the ring is full. It wakes nobody.
    """
    return _push_from(mem, base, records, 0)


@njit(cache=True, nogil=True, error_model="numpy")
def _push_from(mem: Words, base: int, records: NDArray[Any], first: int) -> int:
    width = mem[base + _RECORD]
    if records.shape[1] != width:
        raise InputError("records must have as many columns as init_ring was given record_words")
    count = min(len(records) - first, room_for(mem, base, len(records) - first))
    end = load_relaxed(mem, base + _TAIL)
    for j in range(count):
        place = record(mem, base, end + j)
        for w in range(width):
            mem[place + w] = get_word(records, (first + j) * width + w)
    if count > 0:
        publish(mem, base, end + count)
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def try_pop(mem: Words, base: int, out: NDArray[Any]) -> int:
    """Consumer: copy out as many records as are ready and fit into `out` (int64 or float64 [n, record words]).

    Returns how many, 0 when the ring is empty. They are released; it wakes nobody.
    """
    width = mem[base + _RECORD]
    if out.shape[1] != width:
        raise InputError("out must have as many columns as init_ring was given record_words")
    count = min(len(out), available(mem, base))
    start = load_relaxed(mem, base + _HEAD)
    for j in range(count):
        place = record(mem, base, start + j)
        for w in range(width):
            set_word(out, j * width + w, mem[place + w])
    if count > 0:
        release(mem, base, start + count)
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def push(mem: Words, base: int, records: NDArray[Any], write_fd: int = -1, timeout_ns: int = SLICE_NS) -> int:
    """Producer: push all of `records`, waking the consumer and waiting for room as often as it takes.

    Returns how many were pushed: fewer than given when one wait for room ended without any (`timeout_ns`, or a
    signal); push the rest again.
    """
    done = 0
    while done < len(records):
        count = _push_from(mem, base, records, done)
        if count > 0:
            done += count
            wake_consumer(mem, base, write_fd)
        elif not wait_for_room(mem, base, timeout_ns):
            break
    return done


@njit(cache=True, nogil=True, error_model="numpy")
def pop(mem: Words, base: int, out: NDArray[Any], timeout_ns: int = SLICE_NS) -> int:
    """Consumer: wait for a record, take as many as are ready and fit into `out`, wake the producer.

    Returns how many, 0 when the wait ended without any (`timeout_ns`, or a signal).
    """
    count = try_pop(mem, base, out)
    if count == 0 and wait_for_data(mem, base, timeout_ns):
        count = try_pop(mem, base, out)
    if count > 0:
        wake_producer(mem, base)
    return count
