"""The only module that reads the time. Everything else is given it."""

import time


def wall_ns() -> int:
    """Nanoseconds since the UTC epoch."""
    return time.time_ns()


def monotonic_ns() -> int:
    """Nanoseconds of CLOCK_MONOTONIC: comparable between processes of one machine."""
    return time.monotonic_ns()


def thread_ns() -> int:
    """Nanoseconds of CPU that this thread has used."""
    return time.thread_time_ns()
