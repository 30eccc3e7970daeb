"""A scanner that is not there: a pseudo-terminal into which codes are typed at the speed of a serial line."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import threading
import time
import tty
from pathlib import Path

BITS_PER_BYTE = 10  # start bit, eight data bits, stop bit
MAX_WRITE_BYTES = 4_096
WRITE_POLL_S = 0.05


class PtyScanner:
    """The far end of a scanner's cable: `path` is what a gate opens as its serial device.

    A link may carry the device's name, so that a scanner that was unplugged comes back under the same one."""

    def __init__(self, baud: int | None = None, link: Path | None = None) -> None:
        """`baud` paces the bytes; None: as fast as they are taken."""
        self._baud = baud
        self._link = link
        self._unplugged = threading.Event()
        self._master, self._slave = pty.openpty()
        tty.setraw(
            self._slave
        )  # no echo, no translation of line ends; kept open: the name must outlive a reader that comes back
        os.set_blocking(self._master, False)
        self.path = Path(os.ttyname(self._slave))
        if link is not None:
            link.symlink_to(self.path)
            self.path = link

    def type(self, text: str, end: str = "\r\n") -> None:
        """Scan a code: its text and the scanner's line end, returning when the last byte is on the line."""
        self.send((text + end).encode("latin-1"))

    def send(self, data: bytes) -> None:
        """Any bytes, paced; stops early when the cable is pulled."""
        began_s = time.monotonic()
        step = MAX_WRITE_BYTES if self._baud is None else 1
        for sent in range(0, len(data), step):
            if self._baud is not None:
                due_s = began_s + sent * BITS_PER_BYTE / self._baud
                self._unplugged.wait(max(0.0, due_s - time.monotonic()))
            if not self._write(data[sent : sent + step]):
                return

    def heard(self) -> bytes:
        """What the gate has told the scanner since this was asked last, MAX_WRITE_BYTES at most."""
        try:
            return os.read(self._master, MAX_WRITE_BYTES)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        """Pull the cable: whoever reads sees the device vanish."""
        if not self._unplugged.is_set():
            self._unplugged.set()
            os.close(self._master)
            os.close(self._slave)
            if self._link is not None:
                self._link.unlink(missing_ok=True)

    def _write(self, piece: bytes) -> bool:
        while piece:
            if self._unplugged.is_set():
                return False
            with contextlib.suppress(BlockingIOError):
                select.select([], [self._master], [], WRITE_POLL_S)
                piece = piece[os.write(self._master, piece) :]
        return True
