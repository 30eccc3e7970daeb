"""The demo's network cable: a TCP forwarder between a gate and the centre that can be pulled out and put back."""

from __future__ import annotations

import contextlib
import socket
import threading

CHUNK_BYTES = 65_536
CONNECT_TIMEOUT_S = 5.0
MAX_CONNECTIONS = 64


class Cable:
    """Forwards `127.0.0.1:port` to `target`. Pulled out, it drops what it carried and lets nothing new through."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=MAX_CONNECTIONS)
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._plugged = True
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, name="cable", daemon=True).start()

    def cut(self) -> None:
        """Pull it out: connections break in the middle of whatever they were saying."""
        with self._lock:
            self._plugged = False
            broken, self._open = self._open, set()
        for end in broken:
            _hang_up(end)

    def plug(self) -> None:
        """Put it back; both sides find out by themselves."""
        with self._lock:
            self._plugged = True

    def close(self) -> None:
        """Cut, and stop listening."""
        self.cut()
        _hang_up(self._listener)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._target, timeout=CONNECT_TIMEOUT_S)
            except OSError:
                _hang_up(near)
                continue
            far.settimeout(None)
            with self._lock:
                through = self._plugged and len(self._open) < 2 * MAX_CONNECTIONS
                if through:
                    self._open |= {near, far}
            if not through:
                _hang_up(near)
                _hang_up(far)
                continue
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(source, sink), name="cable", daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(CHUNK_BYTES):
                sink.sendall(chunk)
        with self._lock:
            self._open -= {source, sink}
        _hang_up(source)
        _hang_up(sink)


def _hang_up(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
