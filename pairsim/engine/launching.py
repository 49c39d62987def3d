"""Starting the host of a run in a process of its own, and letting go of it."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pairsim import errors
from pairsim.brokers.broker import Broker
from pairsim.brokers.sim import SimBroker
from pairsim.engine.trader import Trader
from pairsim.engine.wire import Wire, packed, wire_pair
from pairsim.errors import EngineError, PairsimError, StoreError
from pairsim.feeds.feed import Feed
from pairsim.strategies.compiler import StrategyCode

_KNOWN = {"__main__", "builtins", "pairsim", "abc", "typing"}  # the same on both sides, or by value as it is


def launch(folder: Path) -> "tuple[Wire, subprocess.Popen[bytes], Path]":
    """Start a host in a session of its own: the wire to it, its process, and the file it logs to."""
    ours, theirs = wire_pair()
    log = folder / "host.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "pairsim.engine.host", str(theirs.sock.fileno()), str(os.getpid())],
            pass_fds=[theirs.sock.fileno()], start_new_session=True, stdin=subprocess.DEVNULL, stdout=output,
            stderr=output,
            # What this process can import, the host can, and nothing else: "" is the folder a notebook stands in.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)},
        )  # fmt: skip
    theirs.close()
    return ours, process, log


def packed_strategies(message: Any, codes: Iterable[StrategyCode]) -> bytes:
    """A message with strategies, whose classes go by value: they may be of a module that has been edited and reloaded.
    Where a module holds what cannot be sent, by name after all.
    """
    used = {
        kind.__module__
        for code in codes
        for part in (code.strategy, *(indicator for _, indicator in code.indicators))
        for kind in type(part).__mro__
    }
    own = [m for name in used if name.partition(".")[0] not in _KNOWN and (m := sys.modules.get(name)) is not None]
    try:
        return packed(message, own)
    except Exception:
        return packed(message)


def unsendable(traders: Sequence[Trader], feed: Feed, broker: Broker | SimBroker, error: Exception) -> str:
    """Which of the user's objects cannot go to the host, and what to do about it."""
    parts: list[tuple[str, object]] = [
        *((f"trader {t.name!r}", t) for t in traders),
        ("feed", feed),
        ("broker", broker),
    ]
    for name, part in parts:
        try:
            packed(part)
        except Exception:
            return (
                f"the {name} cannot be sent to the process that runs it ({error}); "
                f"open files, locks and connections where they are used, not before start()"
            )
    return f"the engine cannot be sent to the process that runs it: {error}"


def error_of(text: str) -> PairsimError:
    """The error that a host told by its name and message."""
    kind, _, rest = text.partition(": ")
    found = getattr(errors, kind, None)
    return found(rest) if isinstance(found, type) and issubclass(found, PairsimError) else EngineError(text)


def release(wire: Wire, process: "subprocess.Popen[bytes]", folder: Path) -> None:
    """The handle has gone: so goes the run, and its temporary folder."""
    wire.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(2)
    if process.poll() is None:
        process.kill()
        process.wait()
    shutil.rmtree(folder, ignore_errors=True)


def run_folder() -> Path:
    """A folder for this run; those of processes that have gone are removed."""
    root = Path(tempfile.gettempdir())
    for old in root.glob("pairsim-run-*-*"):
        pid = old.name.split("-")[2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists():
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"pairsim-run-{os.getpid()}-"))


def check_store(path: Path) -> None:
    """Refuse a store that another engine has open now, in the caller's own process, where the error belongs."""
    from pairsim.store.location import check_location
    from pairsim.store.lock import StoreLock

    try:
        StoreLock.acquire(check_location(path)).release()
    except OSError as error:
        raise StoreError(f"store {path} cannot be opened: {error}") from None


def usable_cores() -> int:
    """Cores this process may use: its affinity and the quota of its cgroup."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            cores = min(cores, max(1, int(quota) // int(period)))
    return cores
