"""The web server of the status screen: threads in this process, reached from this machine only."""

from __future__ import annotations

import logging
import socket
import threading
from typing import Any

from flask import Flask
from waitress import wasyncore
from waitress.server import create_server

from gate_agent.screen.streams import Streams
from gate_agent.screen.turns import Turns, in_turn

HOST = "127.0.0.1"
THREADS = 32
CONNECTIONS_LIMIT = 100
"""At a time; the kernel lets more wait."""
REQUEST_BODY_LIMIT = 64 * 1024
UNSENT_LIMIT = 1024 * 1024
"""Bytes kept for a browser that does not read, before its stream has to wait."""
IDLE_LIMIT_S, LOOK_FOR_IDLE_S, POLL_S = 10, 5, 1.0
"""How long a connection may ask nothing before it makes room for another; a stream that is open has asked."""


class Server:
    """Serves from the moment it is made until `close`. OSError: the port is taken. Port 0: any free one.

    `scheme` is how browsers reach it: https behind `TlsFront`.
    """

    def __init__(self, app: Flask, streams: Streams, port: int, scheme: str = "http") -> None:
        logging.getLogger("waitress").setLevel(logging.WARNING)  # that a browser left is no news
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # and a flood may not fill the log
        listening = socket.create_server((HOST, port))
        self._closing = threading.Event()
        self.port: int = listening.getsockname()[1]
        self.url = f"http://{HOST}:{self.port}"
        self._streams = streams
        self._sockets: dict[int, Any] = {}
        self._waitress: Any = create_server(
            in_turn(app, Turns(), self._closing),
            map=self._sockets,
            sockets=[listening],
            threads=THREADS,
            connection_limit=CONNECTIONS_LIMIT,
            ident=None,
            url_scheme=scheme,
            max_request_body_size=REQUEST_BODY_LIMIT,
            outbuf_high_watermark=UNSENT_LIMIT,
            channel_timeout=IDLE_LIMIT_S,
            cleanup_interval=LOOK_FOR_IDLE_S,
        )
        self._answered = threading.Event()
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="screen", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the open streams, then the threads, then every connection. Doing it twice is doing it once."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._streams.close()
        self._waitress.task_dispatcher.shutdown()
        self._answered.set()
        self._waitress.pull_trigger()
        self._woken.set()
        self._thread.join()

    def _poll(self) -> None:
        """What waitress's own `run` does, with an end: only the thread that polls the sockets may close them."""
        while not self._answered.is_set():
            wasyncore.loop(POLL_S, use_poll=True, map=self._sockets, count=1)
        self._woken.wait()
        wasyncore.close_all(self._sockets, ignore_all=True)
