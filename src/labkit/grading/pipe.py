"""Messages over a socket: a length, then that many bytes; bounded and with a time limit."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable

from labkit.values import MAX_BYTES

MAX_MESSAGE = MAX_BYTES + 2**20
TICK = 0.1  # seconds between two looks at what the other side uses up


class Lost(Exception):
    """The other side ended, broke the rules or took too long; the text says which, for the student."""


class Pipe:
    """One end of a socket pair that carries messages.

    Parameters
    ----------
    end
        A connected stream socket; it is closed with the pipe.
    watch
        Called now and then while a message is awaited; raises Lost to give up.
    """

    def __init__(self, end: socket.socket, watch: Callable[[], None] = lambda: None) -> None:
        self._end = end
        self._watch = watch

    def send(self, message: bytes, wall_s: float | None = None) -> None:
        """Send one message; raises Lost if the other side is gone or does not take it in time."""
        self._end.settimeout(wall_s)
        try:
            self._end.sendall(struct.pack("<I", len(message)) + message)
        except TimeoutError as error:
            raise Lost("it did not take its input in time") from error
        except OSError as error:
            raise Lost("its process ended") from error

    def receive(self, wall_s: float | None = None) -> bytes:
        """The next message; raises Lost if none comes within `wall_s` seconds (None: wait forever)."""
        until = None if wall_s is None else time.monotonic() + wall_s
        size = struct.unpack("<I", self._exactly(4, until, wall_s))[0]
        if size > MAX_MESSAGE:
            raise Lost("it sent a message that is too large")
        return self._exactly(size, until, wall_s)

    def _exactly(self, size: int, until: float | None, wall_s: float | None) -> bytes:
        data = bytearray()
        while len(data) < size:
            if until is not None and time.monotonic() > until:
                raise Lost(f"it took longer than {wall_s:.0f} seconds")
            self._end.settimeout(None if until is None else TICK)
            try:
                part = self._end.recv(min(size - len(data), 2**20))
            except TimeoutError:
                self._watch()
                continue
            except OSError as error:
                raise Lost("its process ended") from error
            if not part:
                raise Lost("its process ended")
            data += part
        return bytes(data)

    def close(self) -> None:
        self._end.close()
