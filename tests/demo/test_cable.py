"""The cable carries, breaks in the middle, stays dead while pulled and carries again."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from demo.cable import Cable

TIMEOUT_S = 5.0


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    """A server that says back what it hears."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(end: socket.socket) -> None:
        with end:
            while heard := end.recv(100):
                end.sendall(heard)

    def serve() -> None:
        while True:
            try:
                end, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(end,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def cable(echo: tuple[str, int]) -> Iterator[Cable]:
    made = Cable(echo)
    yield made
    made.close()


def say(end: socket.socket, words: bytes) -> bytes:
    end.sendall(words)
    return end.recv(100)


def connect(cable: Cable) -> socket.socket:
    return socket.create_connection(("127.0.0.1", cable.port), timeout=TIMEOUT_S)


def test_cut_and_plug(cable: Cable) -> None:
    with connect(cable) as before:
        assert say(before, b"hello") == b"hello"
        cable.cut()
        assert hears_nothing(before)
    with connect(cable) as during:
        assert hears_nothing(during)
    cable.plug()
    with connect(cable) as after:
        assert say(after, b"again") == b"again"


def hears_nothing(end: socket.socket) -> bool:
    try:
        end.sendall(b"anybody?")
        return end.recv(100) == b""
    except (ConnectionError, BrokenPipeError):
        return True
