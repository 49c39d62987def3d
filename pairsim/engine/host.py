"""The host process of a run: forks the zygote, makes the shared memory, runs feed, gate, order engine and journal,
supervises.

``python -m pairsim.engine.host FD CALLER`` is started by an engine; FD is its end of the control socket, CALLER the
process that must be alive. The main thread only waits for messages and for deaths; it decides nothing about trading.
"""

import os
import signal
import sys

from pairsim.engine.parentage import die_with_caller, die_with_parent, ended_by_caller
from pairsim.engine.wire import Wire, wire_pair


def main() -> None:
    """Entry point. The zygote is forked when what it and the host both need is loaded, and nothing else: this process
    has one thread then (numpy's own end when it forks).
    """
    import socket

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    fd, caller = int(sys.argv[1]), int(sys.argv[2])
    ours, theirs = wire_pair()
    host = os.getpid()
    os.environ["SPT_NOENV"] = "1"  # setproctitle: leave the environment in /proc alone, processes are found by it
    with ended_by_caller(caller):
        from pairsim.engine import worker

        worker.load()
    pid = os.fork()
    if pid == 0:
        die_with_parent(host)  # before anything else, which may take longer than we may live on
        from pairsim.engine.zygote import zygote_main

        ours.close()
        os.close(fd)
        zygote_main(theirs, host)
    die_with_caller(caller)
    theirs.close()
    wire = Wire(socket.socket(fileno=fd))
    import setproctitle

    setproctitle.setproctitle("pairsim-host")
    from pairsim.engine.hosting import Host

    Host(wire, ours, pid).run()


if __name__ == "__main__":
    main()
