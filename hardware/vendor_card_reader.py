"""A card reader behind its maker's library: the ministry's interface `iReadCardBas`, called through ctypes.

Whoever makes the reader supplies the library (`libSSCardDriver.so` or the like) and puts a PSAM into the reader; the
library then proves the card genuine before it tells anything. The interface is polled: it has no word for a new card.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from pathlib import Path

from hardware import Backoff, DeviceFault
from hardware.card_reader import LEFT_BEHIND, MUTE, CardAuth, CardFault, CardRead, CardTrouble, card_of

CONTACTLESS_FIRST = 4  # `iType`: look for a card by itself, in the field before in the slot
MAX_TOLD_BYTES = 4_096  # more than four times what the interface may write
FEWEST_FIELDS = 4
CARD_NUMBER_CHARS = 9  # the field may be longer, the number is not
POLL_S = 0.2  # between two questions while no card is there
RETRY_FIRST_S = 0.2
RETRY_LIMIT_S = 5.0

READ, NO_CARD = 0, -2
NOT_A_CARD = CardFault("this is no social-security card, or of a kind the reader does not know", CardTrouble.FOREIGN)
CARD_FAULTS = {
    -1: NOT_A_CARD,
    -3: MUTE,
    -4: MUTE,
    -20: NOT_A_CARD,
    -21: CardFault("the card failed its authentication: it may be a copy, staff look at it", CardTrouble.UNPROVEN),
    -24: CardFault("the reader's PSAM has too low a level: its supplier exchanges it", CardTrouble.READER),
    -2202: CardFault(
        "the reader's PSAM does not know this card's algorithm: its supplier exchanges it", CardTrouble.READER
    ),
    -2203: CardFault(
        "the reader's PSAM lacks the keys of third-generation cards: its supplier exchanges it", CardTrouble.READER
    ),
}
DEVICE_FAULTS = {
    -5: "parts of the library are missing: install it again as its maker says",
    -11: "the reader is not connected: plug it in",
    -12: "the reader is not connected: plug it in",
    -2201: "there is no PSAM in the reader: put it in",
}

Ask = Callable[[], tuple[int, bytes]]


class VendorCardReader:
    """Taps as the library at `path` tells them; a card that stays is one tap."""

    def __init__(self, path: Path, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._monotonic_s = monotonic_s
        self._backoff = Backoff(RETRY_FIRST_S, RETRY_LIMIT_S)
        self._closed = threading.Event()
        self._ask: Ask | None = None
        self._first = True  # since the reader was away: what lies there now is no tap
        self._lying: CardRead | CardFault | None = None
        self._fault: str | None = None

    @property
    def fault(self) -> str | None:
        return f"card reader {self._path} is closed" if self._closed.is_set() else self._fault

    def next_read(self, timeout_s: float) -> CardRead | CardFault | None:
        """The next tap; waits as much longer than `timeout_s` as one call of the library takes."""
        deadline_s = self._monotonic_s() + timeout_s
        while not self._closed.is_set():
            try:
                tap = self._look()
                pause_s = POLL_S
                self._backoff.reset()
                self._fault = None
            except DeviceFault as fault:
                tap, self._first, self._fault = None, True, f"card reader {self._path}: {fault}"
                pause_s = self._backoff.next_s()
            left_s = deadline_s - self._monotonic_s()
            if tap is not None or left_s <= 0:
                return None if self._closed.is_set() else tap
            self._closed.wait(min(pause_s, left_s))
        return None

    def close(self) -> None:
        """A call that is under way ends by itself and is not believed any more."""
        self._closed.set()

    def _look(self) -> CardRead | CardFault | None:
        """The card that has come since the last look."""
        if self._ask is None:
            self._ask = load(self._path)
        code, told = self._ask()
        if code in DEVICE_FAULTS:
            raise DeviceFault(DEVICE_FAULTS[code])
        lay, first = self._lying, self._first
        self._lying, self._first = understood(code, told), False
        if first and isinstance(self._lying, CardRead):
            return LEFT_BEHIND
        return None if self._lying == lay else self._lying


def load(path: Path) -> Ask:
    """The library's question for a card; each answer is its code and the bytes it wrote."""
    try:
        function = ctypes.CDLL(str(path)).iReadCardBas
    except (OSError, AttributeError) as error:
        raise DeviceFault(f"the library cannot be loaded ({error}): install the one for this machine") from error
    function.argtypes = [ctypes.c_int, ctypes.c_char_p]
    function.restype = ctypes.c_int

    def ask() -> tuple[int, bytes]:
        told = ctypes.create_string_buffer(MAX_TOLD_BYTES)  # anew for each: no number of the last card stays in it
        return int(function(CONTACTLESS_FIRST, told)), told.value

    return ask


def understood(code: int, told: bytes) -> CardRead | CardFault | None:
    """What an answer says of the card; None: there is none. Fields: area, ID number, card number, identification, …"""
    if code == NO_CARD:
        return None
    if code != READ:
        return CARD_FAULTS.get(code) or CardFault(f"the card could not be read (the library says {code}): tap it again")
    fields = told.decode("gb18030", errors="replace").split("|")
    if len(fields) < FEWEST_FIELDS:
        return CardFault("the library told of a card what no card has: install the one for this reader")
    area, id_number, number, identification = fields[:FEWEST_FIELDS]
    return card_of(area, number.strip()[:CARD_NUMBER_CHARS], identification, id_number, CardAuth.PSAM)
