"""A stream to a syslog receiver that knows what may not have arrived.

Syslog has no acknowledgement: TCP only says that the other machine has the bytes, not that its
program read them. So the newest records stay in memory, and when the connection breaks those sent
shortly before are sent again, under the same key.
"""

import errno
import fcntl
import logging
import socket
import ssl
import struct
import termios
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

MAX_IN_FLIGHT = 10_000  # records kept; a receiver's kernel buffers fewer
SURE_S = 60.0  # what a live receiver was sent so long ago, its program has read
KEEPALIVE_S = 15
CLOSE_S = 2.0  # for a TLS goodbye
SETTLE_S = 0.5

_LAST_ACK_RECEIVED = 56  # offset of tcpi_last_ack_recv (ms) in Linux's struct tcp_info

log = logging.getLogger("tripmeter.alerts")

Open = Callable[[], socket.socket]


class Stream:
    """One connection, made when it is needed; use it from one thread.

    Args:
        open: connects; TLS is finished when it returns. Raises OSError.
        timeout_s: for writing a batch and having it acknowledged by the other machine.
        settle_s: how long a new connection has to live before anything is sent. A receiver that
            wants another certificate, or a proxy with nobody behind it, says so only then.
            `SETTLE_S` when left out.
    """

    def __init__(
        self,
        name: str,
        open: Open,
        timeout_s: float,
        settle_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._name = name
        self._open = open
        self._timeout_s = timeout_s
        self._settle_s = SETTLE_S if settle_s is None else settle_s
        self._clock = clock
        self._sleep = sleep
        self._socket: socket.socket | None = None
        self._sent: deque[tuple[float, bytes]] = deque(maxlen=MAX_IN_FLIGHT)
        self._unsure: list[bytes] = []
        self.resent = 0  # records sent again after a break

    def send(self, frames: Sequence[bytes]) -> None:
        """Writes the frames; they are in the other machine's hands when this returns.

        Raises:
            OSError: they may or may not be; the same frames are to be sent again.
        """
        try:
            if self._socket is not None and _ended(self._socket) is not None:
                self._broken()
            if self._socket is None:
                self._socket = self._begin()
            self._write(self._socket, frames)
        except OSError:
            self._broken()
            raise

    def close(self) -> None:
        """Says goodbye, so that the receiver reads to the end."""
        if self._socket is None:
            return
        with suppress(OSError, ValueError):
            self._socket.settimeout(CLOSE_S)
            if isinstance(self._socket, ssl.SSLSocket):
                self._socket.unwrap()
            self._socket.shutdown(socket.SHUT_WR)
        self._drop()

    def _begin(self) -> socket.socket:
        """A connection that stays, with what the one before may not have delivered."""
        self._socket = connection = self._open()
        settled = self._clock() + self._settle_s
        while self._clock() < settled:
            if (error := _ended(connection)) is not None:
                raise error
            self._sleep(min(0.01, self._settle_s))
        if again := self._unsure:
            log.warning("%s: the connection broke; %d records again", self._name, len(again))
            self._write(connection, again)
            self.resent += len(again)
            self._unsure = []
        return connection

    def _write(self, connection: socket.socket, frames: Sequence[bytes]) -> None:
        deadline = self._clock() + self._timeout_s
        connection.settimeout(self._timeout_s)
        connection.sendall(b"".join(frames))
        while _unacknowledged(connection):
            if self._clock() > deadline:
                raise TimeoutError
            if (error := _ended(connection)) is not None:
                raise error
            self._sleep(0.001)
        now = self._clock()
        self._sent.extend((now, frame) for frame in frames)
        while self._sent and self._sent[0][0] < now - _MEMORY_S:
            self._sent.popleft()

    def _broken(self) -> None:
        if self._socket is not None:
            alive = self._clock() - _silent_s(self._socket)
            newest = [frame for at, frame in self._sent if at >= alive - SURE_S]
            self._unsure = (self._unsure + newest)[-MAX_IN_FLIGHT:]
            self._sent.clear()
            self._drop()

    def _drop(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
            self._socket = None


def connect(
    host: str, port: int, context: ssl.SSLContext | None, timeout_s: float
) -> socket.socket:
    """A connection with keep-alives, so that a receiver that is gone is noticed.

    Raises:
        OSError: also when the certificate does not verify.
    """
    connection = socket.create_connection((host, port), timeout=timeout_s)
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_S)
        return context.wrap_socket(connection, server_hostname=host) if context else connection
    except OSError:
        connection.close()
        raise


def _ended(connection: socket.socket) -> OSError | None:
    """How the receiver ended the connection; None while it has not. What it says is not for us."""
    connection.setblocking(False)
    try:
        if connection.recv(4096):
            return None
    except (BlockingIOError, ssl.SSLWantReadError):
        return None
    except OSError as error:
        return error
    return ConnectionResetError(errno.ECONNRESET, "the receiver hung up")


def _unacknowledged(connection: socket.socket) -> int:
    """Bytes the other machine has not acknowledged; 0 where the system cannot tell."""
    try:
        answer = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0" * 4)
    except OSError:
        return 0
    return int(struct.unpack("i", answer)[0])


def _silent_s(connection: socket.socket) -> float:
    """Seconds since the other machine last acknowledged anything, a keep-alive for instance."""
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        milliseconds: int = struct.unpack_from("I", info, _LAST_ACK_RECEIVED)[0]
    except (OSError, AttributeError, struct.error):
        return _MEMORY_S
    return milliseconds / 1000


_MEMORY_S = 86_400.0  # a connection that died a day ago, and nothing was sent since
