"""A camera in the network for tests: pictures one after the other over HTTP, until it is switched off."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import cv2

if TYPE_CHECKING:
    from hardware.camera import Gray

INTERVAL_S = 0.02
BOUNDARY = b"picture"


class PictureServer:
    """Motion JPEG at `url` from a thread of its own; `port` 0: any free one."""

    def __init__(self, pictures: Sequence[Gray], port: int = 0) -> None:
        stopped = self._stopped = threading.Event()
        jpegs = [cv2.imencode(".jpg", picture)[1].tobytes() for picture in pictures]

        class Camera(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY.decode()}")
                self.end_headers()
                for jpeg in itertools.cycle(jpegs):
                    if stopped.wait(INTERVAL_S):
                        return
                    head = b"--%b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % (BOUNDARY, len(jpeg))
                    try:
                        self.wfile.write(head + jpeg + b"\r\n")
                    except OSError:
                        return

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                return

        class Server(ThreadingHTTPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Server(("127.0.0.1", port), Camera)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/stream.mjpg"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Switch it off: streams end, and nobody is answered any more."""
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
