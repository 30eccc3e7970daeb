"""A small HTTP server in a thread of a test's own, and how an answer is spoilt on its way to whoever asked."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORTAL = b"<!DOCTYPE html><html><title>Free wifi</title><form action=/login><input name=phone></form></html>"
"""What a captive portal says to everything, with 200."""


class LoopbackServer(ThreadingHTTPServer):
    """Use as a context manager; any free port."""

    daemon_threads = True

    def __init__(self, handler: type[Handler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)

    def __enter__(self) -> LoopbackServer:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """Connections stay open until an answer is spoilt; nothing is logged."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else every answer waits 40 ms for an acknowledgement

    def do_GET(self) -> None:
        self.answer(b"")

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def answer(self, body: bytes) -> None:
        """What to say to the request at hand, which had this body."""
        raise NotImplementedError

    def log_message(self, *_: object) -> None:
        """Tests look at what came instead."""

    def send(self, status: int, headers: Mapping[str, str], body: bytes, claimed_bytes: int | None = None) -> None:
        """An answer; `claimed_bytes` is how long it says that it is."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if claimed_bytes is None else claimed_bytes))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            self.close_connection = True  # nobody waits any longer

    def send_cut(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """The connection ends in the middle of the answer."""
        self.close_connection = True
        self.send(status, headers, body[: len(body) // 2], len(body))

    def send_half(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Half an answer, as if that were all."""
        self.send(status, headers, body[: len(body) // 2])
