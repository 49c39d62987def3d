"""For `test_native`: calls every kernel once and prints what had to be compiled, and in which way it waits."""

import json
import threading

import numpy as np
from numba import cfunc, njit, types
from numba.core.dispatcher import Dispatcher

from pairsim.channels import Doorbell, Memory, init_ring, ring, seqlock, waiting
from pairsim.channels.atomics import (
    compiler_fence,
    cpu_pause,
    exchange,
    fence,
    fence_acquire,
    fence_release,
    fetch_add,
    now_ns,
    store_release,
)
from pairsim.channels.native import address_of, call, copy_words

SHORT_NS = 1_000_000
DEADLINE_NS = 1_000_000_000


@njit(cache=True, nogil=True, error_model="numpy")
def everything_native(words, address, write_fd):
    """All that is only usable in kernels."""
    compiler_fence(), cpu_pause(), fence(), fence_acquire(), fence_release()
    copy_words(words, 0, 8, 4)
    waiting.ring_doorbell(write_fd)
    waiting.sleep_ns(1)
    later = now_ns() > 0 and address_of(words, 1) - address_of(words, 0) == 8
    return exchange(words, 0, 5) + fetch_add(words, 0, 2) + call(address, 3, 4) + later


@njit(cache=True, nogil=True, error_model="numpy")
def set_without_waking(words, index):
    """Change a word and wake nobody."""
    store_release(words, index, 1)


@cfunc(types.int64(types.intp, types.intp), cache=True)
def product(x, y):
    """Something to call."""
    return x * y


def run() -> list:
    memory, bell = Memory.create(1024), Doorbell()
    mem, records, out = memory.words, np.ones((2, 2), np.int64), np.zeros((2, 2), np.int64)
    init_ring(mem, 64, 2, 2)
    results = [
        everything_native(mem, product.address, bell.write_fd),
        ring.try_push(mem, 64, records),
        ring.push(mem, 64, records, -1, SHORT_NS),
        ring.wait_for_room(mem, 64, SHORT_NS),
        ring.try_pop(mem, 64, out),
        ring.pop(mem, 64, out, SHORT_NS),
        ring.wait_for_data(mem, 64, SHORT_NS),
        ring.room(mem, 64),
        ring.available(mem, 64),
        ring.tail(mem, 64),
        ring.head(mem, 64),
        ring.arm_consumer(mem, 64),
        waiting.wait_word(mem, 1000, 1, SHORT_NS),
        seqlock.seq_write(mem, 500, np.ones(2)),
        seqlock.seq_read(mem, 500, np.ones(2)),
        seqlock.read_retry(mem, 500, seqlock.read_begin(mem, 500)),
    ]
    ring.wake_consumer(mem, 64, bell.write_fd)
    ring.wake_producer(mem, 64)
    ring.publish(mem, 64, 2)
    ring.release(mem, 64, 2)
    ring.rouse(mem, 64, -1)
    seqlock.write_begin(mem, 500)
    seqlock.write_end(mem, 500)
    waiting.wake_word(mem, 1000)
    return [int(x or 0) for x in results]


def notices_unwoken_change() -> bool:
    """A futex sleeps on when its word changes and nobody wakes it; the portable path looks."""
    memory = Memory.create(64)
    mem = memory.words
    set_without_waking(mem, 1)
    took = []

    def wait() -> None:
        begin = now()
        waiting.wait_word(mem, 0, 0, DEADLINE_NS)
        took.append(now() - begin)

    sleeper = threading.Thread(target=wait)
    sleeper.start()
    sleeper.join(0.2)  # it sleeps by now
    set_without_waking(mem, 0)
    sleeper.join()
    return took[0] < DEADLINE_NS


@njit(cache=True, nogil=True, error_model="numpy")
def now():
    """The clock of the kernels."""
    return now_ns()


def main() -> None:
    results = run()
    noticed = notices_unwoken_change()
    kernels = [
        (name, kernel)
        for module in (ring, seqlock, waiting)
        for name, kernel in vars(module).items()
        if isinstance(kernel, Dispatcher)
    ] + [("everything_native", everything_native)]
    compiled = {name: sum(kernel.stats.cache_misses.values()) for name, kernel in kernels}
    names = [name for name, count in compiled.items() if count]
    found = {"compiled": len(names), "names": names, "results": results, "noticed_unwoken_change": noticed}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
