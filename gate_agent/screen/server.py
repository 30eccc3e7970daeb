"""The web server of the status screen: threads in this process, this machine's own browsers only."""

from __future__ import annotations

import socket
import threading
from typing import Any

from flask import Flask
from waitress import wasyncore
from waitress.server import create_server

from gate_agent.screen.streams import Streams

HOST = "127.0.0.1"
THREADS = 32
REQUEST_BODY_LIMIT = 64 * 1024
UNSENT_LIMIT = 1024 * 1024
"""Bytes kept for a browser that does not read, before its stream has to wait."""


class Server:
    """Serves from the moment it is made until `close`. OSError: the port is taken. Port 0: any free one."""

    def __init__(self, app: Flask, streams: Streams, port: int) -> None:
        listening = socket.create_server((HOST, port))
        self.url = f"http://{HOST}:{listening.getsockname()[1]}"
        self._streams = streams
        self._sockets: dict[int, Any] = {}
        self._waitress: Any = create_server(
            app,
            map=self._sockets,
            sockets=[listening],
            threads=THREADS,
            ident=None,
            max_request_body_size=REQUEST_BODY_LIMIT,
            outbuf_high_watermark=UNSENT_LIMIT,
        )
        self._thread = threading.Thread(target=self._waitress.run, name="screen", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the open streams, then the threads, then every connection. Doing it twice is doing it once."""
        if not self._thread.is_alive():
            return
        self._streams.close()
        self._waitress.task_dispatcher.shutdown()
        # Only the thread that polls the sockets may close them; waitress offers no call for that, but runs one there.
        self._waitress.trigger.pull_trigger(lambda: wasyncore.close_all(self._sockets, ignore_all=True))
        self._thread.join()
