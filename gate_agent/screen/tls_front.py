"""TLS in front of a server of this machine: takes the connections of the venue's network and carries their bytes to it.

A tablet that stalls, floods or vanishes costs one of so many places here and never a lane.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading

from gate_agent.screen.server import HOST

CONNECTIONS_LIMIT = 64
"""Taken at a time, those that still shake hands included; the kernel lets `BACKLOG` more wait."""
BACKLOG = 64
HANDSHAKE_LIMIT_S = 5.0
UNANSWERED_LIMIT_S = 10.0
"""A tablet that left the network without a word, or takes nothing, gives its place back after this."""
PIECE_BYTES = 16 * 1024
TAKING_S = 0.02
"""So many handshakes at most that a flood of connections can cost: fifty a second."""
IP_FREEBIND = 15
"""ip(7); Python does not name it."""


def listen(address: tuple[str, int]) -> socket.socket:
    """A socket at the address, even while it is not there yet: a gate starts before its network, and without it.

    OSError: the port is taken.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


class TlsFront:
    """Carries what comes to `listening` to `port` of this machine, until `close`: a thread for each place."""

    def __init__(self, listening: socket.socket, context: ssl.SSLContext, port: int) -> None:
        self._listening = listening
        self._context = context
        self._port = port
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._carried: set[ssl.SSLSocket] = set()
        self._closing = threading.Event()
        self._threads = [
            threading.Thread(target=self._keep_taking, name=f"tls {number}", daemon=True)
            for number in range(CONNECTIONS_LIMIT)
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Ends every connection. Doing it twice is doing it once."""
        with self._lock:
            self._closing.set()
            for tls in self._carried:
                _hang_up(tls)
        _hang_up(self._listening)
        for thread in self._threads:
            thread.join()
        self._listening.close()

    def _keep_taking(self) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(OSError):  # of the network, of TLS, a time limit: the browser asks again
                self._carry(self._take())

    def _take(self) -> ssl.SSLSocket:
        """The next connection. The kernel keeps what comes faster than one in `TAKING_S`."""
        with self._turn:
            try:
                taken, _ = self._listening.accept()
            finally:
                self._closing.wait(TAKING_S)
        return self._context.wrap_socket(taken, server_side=True, do_handshake_on_connect=False)

    def _carry(self, tls: ssl.SSLSocket) -> None:
        """One connection, from its handshake until either side ends it."""
        with tls:
            with self._lock:
                if self._closing.is_set():
                    return
                self._carried.add(tls)
            try:
                tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(UNANSWERED_LIMIT_S * 1000))
                tls.settimeout(HANDSHAKE_LIMIT_S)
                tls.do_handshake()
                with socket.create_connection((HOST, self._port), UNANSWERED_LIMIT_S) as inner:
                    _exchange(tls, inner)
            finally:
                with self._lock:
                    self._carried.discard(tls)


def _exchange(tls: ssl.SSLSocket, inner: socket.socket) -> None:
    """Carry bytes both ways. Idle connections are ended by the server behind, streams by who leaves. OSError."""
    with selectors.PollSelector() as selector:
        selector.register(tls, selectors.EVENT_READ)
        selector.register(inner, selectors.EVENT_READ)
        while True:
            ready = [key.fileobj for key, _ in selector.select()]
            if inner in ready:
                piece = inner.recv(PIECE_BYTES)
                if not piece:
                    return
                tls.settimeout(UNANSWERED_LIMIT_S)
                tls.sendall(piece)
            if tls in ready and not _pass_on(tls, inner):
                return


def _pass_on(tls: ssl.SSLSocket, inner: socket.socket) -> bool:
    """Hand on what has come whole; False when nothing more will. Waiting for the rest of a record would hold up the
    other way."""
    tls.settimeout(0)
    try:
        while piece := tls.recv(PIECE_BYTES):
            inner.sendall(piece)
    except ssl.SSLWantReadError:
        return True
    return False


def _hang_up(taken: socket.socket) -> None:
    """Wakes whoever waits for it. Not SSLSocket.shutdown, after which its own thread would go on without TLS."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(taken, socket.SHUT_RDWR)
