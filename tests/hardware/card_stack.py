"""A real pcscd with virtual readers in a network of its own, and cards that are put into them and pulled out.

vpcd, the driver, listens on all addresses: that is why it gets a network namespace. A card is a TCP connection to it
(port per reader): length in two bytes, then a command, or one byte of control; presence is being connected.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType

from tests.hardware.social_security_card import SocialSecurityCard
from tests.waiting import until

PORT = 0x8C7B  # vpcd's first reader; the second has the next
READERS = ("Virtual PCD 00 00", "Virtual PCD 00 01")
DRIVER = Path("/usr/lib/pcsc/drivers/serial/libifdvpcd.so")
FOLDER = Path(tempfile.gettempdir()) / f"cards-{os.getpid()}"
"""Made when the stack is started. A short name: a socket's path has 107 bytes at most."""
SOCKET = FOLDER / "run" / "pcscd.comm"
SOCKET_VARIABLE = "PCSCLITE_CSOCK_NAME"
"""Where libpcsclite looks for its pcscd. It asks once in a process, so tests set it before anything else."""
ATR = bytes.fromhex("3B800181")  # no history, and a protocol that pcscd can name
STOP_S = 5.0

_POWER_OFF, _POWER_ON, _RESET, _GET_ATR = 0, 1, 2, 4

# In the new namespaces: a /run of its own whose pcscd directory is the test's, a loopback, no driver for real readers.
_SET_UP = """
mount -t tmpfs none /run && mkdir /run/pcscd && mount --bind "$1" /run/pcscd && ip link set lo up || exit
PCSCLITE_HP_DROPDIR=/var/empty exec "$2" --foreground --config "$3"
"""
_DIAL = """
import socket, sys
way_back, port = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])
with way_back, socket.create_connection(("127.0.0.1", port)) as card:
    socket.send_fds(way_back, [b"!"], [card.fileno()])
"""


def missing() -> str | None:
    """What this machine lacks for the stack, None when it is all there."""
    for program in ("pcscd", "unshare", "nsenter", "ip"):
        if shutil.which(program, path=_path()) is None:
            return f"{program} is not installed"
    if not DRIVER.exists():
        return "vsmartcard-vpcd is not installed"
    try:
        import smartcard.scard  # noqa: F401
    except ImportError:
        return "python3-pyscard is not installed for this Python"
    tried = subprocess.run([*_unshare(), "true"], capture_output=True, check=False)
    return None if tried.returncode == 0 else "no namespace can be made here (unshare --net --mount)"


class CardStack:
    """One pcscd that can be ended and started anew."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        SOCKET.parent.mkdir(parents=True)
        (FOLDER / "readers").mkdir()

    def start(self, *, plugged: bool = True) -> None:
        """Returns when pcscd answers; `plugged`: whether the readers hang on the machine."""
        there = f'FRIENDLYNAME "Virtual PCD"\nDEVICENAME /dev/null:{PORT}\nLIBPATH {DRIVER}\nCHANNELID {PORT}\n'
        (FOLDER / "readers" / "vpcd").write_text(there if plugged else "")
        pcscd = shutil.which("pcscd", path=_path())
        assert pcscd
        arguments = ["sh", "-c", _SET_UP, "sh", str(SOCKET.parent), pcscd, str(FOLDER / "readers")]
        with (FOLDER / "pcscd.log").open("ab") as log:
            self._process = subprocess.Popen([*_unshare(), *arguments], stdout=log, stderr=log)
        until(self._answers, what="pcscd listens")

    def stop(self) -> None:
        """End pcscd; the reader's cards are gone with it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(STOP_S)
            self._process = None

    def remove(self) -> None:
        """Away with it and all it left."""
        self.stop()
        shutil.rmtree(FOLDER)

    def await_cards(self, count: int) -> None:
        """Until pcscd has seen that there are so many cards in its readers."""
        from smartcard import scard

        _, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
        asked = [(reader, scard.SCARD_STATE_UNAWARE) for reader in READERS]

        def seen() -> bool:
            _, states = scard.SCardGetStatusChange(context, 0, asked)
            return bool(states) and sum(bool(state & scard.SCARD_STATE_PRESENT) for _, state, _ in states) == count

        until(seen, what=f"{count} cards in the readers")
        scard.SCardReleaseContext(context)

    def insert(self, card: SocialSecurityCard, reader: int = 0, pull_after: int | None = None) -> InsertedCard:
        """Put a card into one of READERS; it is pulled out before it answers command number `pull_after`."""
        return InsertedCard(card, self._dial(PORT + reader), pull_after)

    def _dial(self, port: int) -> socket.socket:
        """A connection that was made inside the namespace."""
        assert self._process is not None
        ours, theirs = socket.socketpair()
        enter = ["nsenter", f"--target={self._process.pid}", "--net"]
        if os.geteuid() != 0:
            enter += ["--user", "--preserve-credentials"]
        with ours, theirs:
            dial = [*enter, sys.executable, "-I", "-c", _DIAL, str(theirs.fileno()), str(port)]
            subprocess.run(dial, pass_fds=[theirs.fileno()], check=True, timeout=STOP_S)
            _, (handle,), _, _ = socket.recv_fds(ours, 1, 1)
        return socket.socket(fileno=handle)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (FOLDER / "pcscd.log").read_text()
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(SOCKET)) == 0


class InsertedCard:
    """A card in a reader, answering in a thread of its own until it is pulled."""

    def __init__(self, card: SocialSecurityCard, line: socket.socket, pull_after: int | None) -> None:
        self._card = card
        self._line = line
        self._left = -1 if pull_after is None else pull_after
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def pull(self) -> None:
        """Take it out; doing it twice is doing it once."""
        with contextlib.suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)
        self._thread.join(STOP_S)
        self._line.close()

    def __enter__(self) -> InsertedCard:
        return self

    def __exit__(self, kind: type[BaseException] | None, what: BaseException | None, at: TracebackType | None) -> None:
        self.pull()

    def _answer(self) -> None:
        with contextlib.suppress(OSError):  # pulled, or pcscd has ended
            while length := self._receive(2):
                heard = self._receive(int.from_bytes(length, "big"))
                if len(heard) > 1:
                    if self._left == 0:
                        self._line.shutdown(socket.SHUT_RDWR)
                        return
                    self._left -= 1
                    self._send(self._card.answer(heard))
                elif heard == bytes([_GET_ATR]):
                    self._send(ATR)
                else:
                    self._card.reset()

    def _receive(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            # At once, or vpcd's two small writes wait for each other: 356 ms a command instead of 3.
            self._line.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            piece = self._line.recv(count - len(data))
            if not piece:
                return b""
            data += piece
        return data

    def _send(self, data: bytes) -> None:
        self._line.sendall(len(data).to_bytes(2, "big") + data)


def _unshare() -> list[str]:
    return ["unshare", "--net", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
