"""A card reader behind PC/SC: pcscd and the system's pyscard; contact, contactless, or both faces of one reader."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from hardware import Backoff, DeviceFault, library
from hardware.card_reader import LEFT_BEHIND, MUTE, ONE_CARD_ONLY, PULLED, CardFault, CardRead, CardTrouble
from hardware.social_card import converse

WATCH_S = 0.2  # how long one wait for a card may block: bounds closing, and how late a new reader is seen
RETRY_FIRST_S = 0.2
RETRY_LIMIT_S = 5.0
MAX_READ_S = 2.0  # a card that has not told its numbers by then is given up; an ordinary one needs 0.1 s
MAX_FACES = 8  # PC/SC readers that one name may mean


class PcscReader:
    """Every PC/SC reader whose name contains `name`, as one card reader: a tap is a card that was not there before.

    pcscd, the reader and the card may come and go at any time; `fault` says what is missing until it is back."""

    def __init__(self, name: str, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._monotonic_s = monotonic_s
        self._backoff = Backoff(RETRY_FIRST_S, RETRY_LIMIT_S)
        self._try_again_at_s = monotonic_s()
        self._lock = threading.Lock()  # held while PC/SC is asked
        self._closed = threading.Event()
        self._service: _Service | None = None
        self._states: dict[str, int] = {}  # of each face, as PC/SC last told it
        self._fault: str | None = None
        with self._lock:
            self._look(0)  # at once: a card that lies there already is no tap

    @property
    def fault(self) -> str | None:
        return f"card reader {self._name!r} is closed" if self._closed.is_set() else self._fault

    def next_read(self, timeout_s: float) -> CardRead | CardFault | None:
        """The next tap; waits up to WATCH_S, and for a card's last words MAX_READ_S, longer than `timeout_s`."""
        deadline_s = self._monotonic_s() + timeout_s
        while not self._closed.is_set():
            wait_s = max(0.0, min(WATCH_S, deadline_s - self._monotonic_s()))
            with self._lock:
                tap = self._look(wait_s)
            if tap is not None:
                return tap
            if not self._states:
                self._closed.wait(wait_s)
            if self._monotonic_s() >= deadline_s:
                return None
        return None

    def close(self) -> None:
        self._closed.set()
        if self._lock.acquire(timeout=MAX_READ_S):  # a driver that hangs keeps its thread, not the one that closes
            self._let_go()
            self._lock.release()

    def _look(self, wait_s: float) -> CardRead | CardFault | None:
        """Wait for a change at any face and read the card that came, if one did."""
        if self._closed.is_set() or self._monotonic_s() < self._try_again_at_s:
            return None
        try:
            if self._service is None:
                self._service = _Service()
            left_behind = self._find_faces(self._service)
            tap = left_behind or (self._watch(self._service, wait_s) if self._states else None)
        except DeviceFault as fault:
            self._let_go()
            self._fault = str(fault)
            self._try_again_at_s = self._monotonic_s() + self._backoff.next_s()
            return None
        self._backoff.reset()
        return tap

    def _find_faces(self, service: _Service) -> CardFault | None:
        """Note which faces have come and gone; a card that lay in one that came is told, not read."""
        there = service.readers()
        wanted = self._name.casefold()
        faces = [face for face in there if wanted in face.casefold()][:MAX_FACES]
        self._states = {face: state for face, state in self._states.items() if face in faces}
        came = service.states(dict.fromkeys(set(faces) - set(self._states), service.UNAWARE), 0)
        self._states.update(came)
        listed = ", ".join(there) or "none"
        self._fault = None if faces else f"card reader {self._name!r} is not there: plug it in (there are: {listed})"
        return LEFT_BEHIND if any(state & service.PRESENT for state in came.values()) else None

    def _watch(self, service: _Service, wait_s: float) -> CardRead | CardFault | None:
        before = self._states
        self._states = service.states(before, int(wait_s * 1000))
        tapped = [face for face, state in self._states.items() if service.is_tap(before[face], state)]
        if not tapped:
            return None
        if sum(bool(state & service.PRESENT) for state in self._states.values()) > 1:
            return ONE_CARD_ONLY
        if self._states[tapped[0]] & service.MUTE:
            return MUTE
        deadline_s = self._monotonic_s() + MAX_READ_S
        return service.read(tapped[0], lambda: self._monotonic_s() < deadline_s)

    def _let_go(self) -> None:
        if self._service is not None:
            self._service.close()
            self._service = None
        self._states = {}


class _CardLost(Exception):
    """The card stopped answering; `fault` is what its tap came to."""

    def __init__(self, fault: CardFault) -> None:
        super().__init__(fault.sentence)
        self.fault = fault


class _Service:
    """pcscd as this file speaks to it. DeviceFault from every method: the service is away, or its library."""

    def __init__(self) -> None:
        with library("python3-pyscard", "apt-get install python3-pyscard pcscd"):
            from smartcard import scard  # its Python layers above this one start threads and observers of their own
        self._scard: Any = scard  # ships no types
        self.UNAWARE = int(scard.SCARD_STATE_UNAWARE)
        self.PRESENT, self.MUTE = int(scard.SCARD_STATE_PRESENT), int(scard.SCARD_STATE_MUTE)
        self._card_faults = {
            scard.SCARD_W_REMOVED_CARD: PULLED,
            scard.SCARD_E_NO_SMARTCARD: PULLED,
            scard.SCARD_W_RESET_CARD: PULLED,
            scard.SCARD_E_NOT_TRANSACTED: PULLED,
            scard.SCARD_F_COMM_ERROR: PULLED,
            scard.SCARD_W_UNPOWERED_CARD: MUTE,
            scard.SCARD_W_UNRESPONSIVE_CARD: MUTE,
            scard.SCARD_W_UNSUPPORTED_CARD: MUTE,
            scard.SCARD_E_PROTO_MISMATCH: MUTE,
            scard.SCARD_E_SHARING_VIOLATION: CardFault(
                "another program holds the card: end it, the gate needs the reader alone", CardTrouble.READER
            ),
        }
        result, self._context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
        self._must(result)

    def readers(self) -> list[str]:
        """The names of all readers there are now."""
        result, names = self._scard.SCardListReaders(self._context, [])
        if result == self._scard.SCARD_E_NO_READERS_AVAILABLE:
            return []
        self._must(result)
        return list(names)

    def states(self, known: dict[str, int], wait_ms: int) -> dict[str, int]:
        """The state of each reader in `known` once one differs, or after `wait_ms`; readers that vanish fall out."""
        if not known:
            return {}
        result, told = self._scard.SCardGetStatusChange(self._context, wait_ms, list(known.items()))
        if result in (self._scard.SCARD_E_UNKNOWN_READER, self._scard.SCARD_E_READER_UNAVAILABLE):
            return {}
        if result != self._scard.SCARD_E_TIMEOUT:
            self._must(result)
        gone = self._scard.SCARD_STATE_UNKNOWN | self._scard.SCARD_STATE_UNAVAILABLE | self._scard.SCARD_STATE_IGNORE
        return {name: state & ~self._scard.SCARD_STATE_CHANGED for name, state, _ in told if not state & gone}

    def is_tap(self, before: int, after: int) -> bool:
        """Whether a card is there that was not; the upper half of a state counts comings and goings."""
        return bool(after & self.PRESENT) and (not before & self.PRESENT or before >> 16 != after >> 16)

    def read(self, reader: str, in_time: Callable[[], bool]) -> CardRead | CardFault:
        """Power the card in `reader`, ask it for its numbers, and let it be."""
        scard = self._scard
        protocols = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        result, card, protocol = scard.SCardConnect(self._context, reader, scard.SCARD_SHARE_EXCLUSIVE, protocols)
        try:
            self._card_must(result)
            header = scard.SCARD_PCI_T0 if protocol == scard.SCARD_PROTOCOL_T0 else scard.SCARD_PCI_T1

            def transmit(command: bytes) -> bytes:
                if not in_time():
                    raise _CardLost(CardFault(f"the card was still not read after {MAX_READ_S:.0f} s: tap it again"))
                result, response = scard.SCardTransmit(card, header, list(command))
                self._card_must(result)
                if not response:  # some drivers tell a pulled card so
                    raise _CardLost(PULLED)
                return bytes(response)

            return converse(transmit)
        except _CardLost as lost:
            return lost.fault
        finally:
            if result == scard.SCARD_S_SUCCESS:
                scard.SCardDisconnect(card, scard.SCARD_LEAVE_CARD)  # a reset would look like a new card

    def close(self) -> None:
        """Give the context back; nothing is left to do about it when pcscd has gone."""
        self._scard.SCardReleaseContext(self._context)

    def _must(self, result: int) -> None:
        if result != self._scard.SCARD_S_SUCCESS:
            words = self._scard.SCardGetErrorMessage(result).strip().rstrip(".")
            raise DeviceFault(f"the card service does not answer ({words}): start it, systemctl start pcscd.socket")

    def _card_must(self, result: int) -> None:
        if result != self._scard.SCARD_S_SUCCESS:
            words = self._scard.SCardGetErrorMessage(result).strip().rstrip(".")
            unknown = CardFault(f"the card could not be read ({words}): tap it again")
            raise _CardLost(self._card_faults.get(result, unknown))
