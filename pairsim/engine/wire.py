"""Messages between processes of one run, over inherited socket pairs: a length, then a pickle. Nothing is ever read
from a file.

Both ends were started by us and no other process can open the socket, which is what makes pickle safe here.
"""

import array
import contextlib
import pickle
import select
import socket
import struct
import threading
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

_LENGTH = struct.Struct("<q")
LIMIT = 1 << 31


class Wire:
    """One end of a socket pair that carries whole messages."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._buffer = bytearray()
        self._sending = threading.Lock()  # a message goes out whole, whichever thread sends the next one
        self._fds: list[int] = []

    def fileno(self) -> int:
        """For selectors."""
        return self.sock.fileno()

    def send(self, message: Any, fds: tuple[int, ...] = ()) -> None:
        """Send one message, with file descriptors where given."""
        self.send_packed(packed(message), fds)

    def send_packed(self, data: bytes, fds: tuple[int, ...] = ()) -> None:
        """Send what `packed` made."""
        with self._sending:
            if fds:
                ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
                sent = self.sock.sendmsg([data], ancillary)
                data = data[sent:]
            self.sock.sendall(data)

    def receive(self, timeout: float | None = None) -> Any:
        """The next message.

        Raises
        ------
        EOFError : the other end has gone. TimeoutError : nothing came in time.
        """
        while (message := self._next()) is _NOTHING:
            if not readable([self], timeout):
                raise TimeoutError(f"no message within {timeout} s")
            self._read()
        return message

    def take_fds(self, count: int) -> list[int]:
        """The next descriptors that came with messages, in order."""
        fds, self._fds = self._fds[:count], self._fds[count:]
        return fds

    def poll(self) -> list[Any]:
        """All whole messages that have come, without waiting.

        Raises
        ------
        EOFError : the other end has gone.
        """
        gone: OSError | EOFError | None = None
        while gone is None and readable([self], 0):
            try:
                self._read()
            except (EOFError, ConnectionResetError) as error:
                gone = error
        messages = []
        while (message := self._next()) is not _NOTHING:
            messages.append(message)
        if gone is not None and not messages:  # last words first: that it has gone is said again
            raise gone
        return messages

    def close(self) -> None:
        """Close this end."""
        self.sock.close()

    def _read(self) -> None:
        data, ancillary, _, _ = self.sock.recvmsg(1 << 20, socket.CMSG_SPACE(16 * 4))
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds = array.array("i")
                fds.frombytes(value[: len(value) - len(value) % fds.itemsize])
                self._fds += fds
        if not data:
            raise EOFError("the other process has gone")
        self._buffer += data

    def _next(self) -> Any:
        if len(self._buffer) < _LENGTH.size:
            return _NOTHING
        (length,) = _LENGTH.unpack_from(self._buffer)
        end = _LENGTH.size + length
        if length > LIMIT:
            raise ValueError(f"a message of {length} bytes, the limit is {LIMIT}")
        if len(self._buffer) < end:
            return _NOTHING
        message = pickle.loads(memoryview(self._buffer)[_LENGTH.size : end])
        del self._buffer[:end]
        return message


def readable(sources: Iterable[Wire | int], timeout: float | None) -> list[Wire | int]:
    """Which of these wires and descriptors have something to read, or have gone; within so many seconds the first has.

    Not by select(), which knows no descriptor above 1,023.
    """
    poll, by_fd = select.poll(), {}
    for source in sources:
        fd = source if isinstance(source, int) else source.fileno()
        poll.register(fd, select.POLLIN)
        by_fd[fd] = source
    return [by_fd[fd] for fd, _ in poll.poll(None if timeout is None else 1000 * timeout)]


def packed(message: Any, by_value: Iterable[ModuleType] = ()) -> bytes:
    """A message as it goes over a wire. What it uses of the modules ``by_value`` goes with it; else a class or function
    of a module is but a name, which the other side looks up in that module as it was when it imported it.
    """
    with contextlib.ExitStack() as undo:
        for module in by_value:
            if module.__name__ not in cloudpickle.list_registry_pickle_by_value():
                cloudpickle.register_pickle_by_value(module)
                undo.callback(cloudpickle.unregister_pickle_by_value, module)
        body = cloudpickle.dumps(message)
    return _LENGTH.pack(len(body)) + body


def unpacked(data: bytes) -> Any:
    """The message of a packed one that came as part of another."""
    return pickle.loads(memoryview(data)[_LENGTH.size :])


_NOTHING = object()


def wire_pair() -> tuple[Wire, Wire]:
    """Two connected ends."""
    a, b = socket.socketpair()
    return Wire(a), Wire(b)
