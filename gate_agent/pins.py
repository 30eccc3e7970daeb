"""Trying a PIN at this box: who it is, how many tries are left, how long to wait after too many wrong ones."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from gate_agent import judging
from gate_agent.events import EventWord
from gate_agent.journal import Journal
from gate_agent.staff import MAX_PIN_DIGITS, Member, Staff, StaffError
from gate_agent.world import World

FREE_TRIES = 3
FIRST_WAIT_MS, LONGEST_WAIT_MS = 30_000, 600_000
TRY_WEIGHS_MS = 600_000
WEIGHT_LIMIT_MS = 20 * TRY_WEIGHS_MS
"""How long a wrong try weighs, whoever's right PIN comes between, and how much may weigh before the next: else a
steward would guess at the supervisor's PIN for as long as he likes, with his own after every second guess."""
HASH_WAIT_S = 3.0
"""How long a try waits for the one before it: PINs are hashed one at a time, whoever asks."""


@dataclass(frozen=True, slots=True)
class Attempts:
    """Wrong tries in a row at this box, and how they were at some time, by the boot clock of that boot.

    `weight_ms`: how much all wrong tries weighed then, also those before the last right one."""

    wrong: int = 0
    boot: str = ""
    boot_ms: int = 0
    weight_ms: int = 0

    def wait_ms(self, boot: str, boot_ms: int) -> int:
        """How long no try is taken. In another boot the time since is not known: it counts from the machine's start."""
        since_ms = self._since_ms(boot, boot_ms)
        return max(0, self._pause_ms() - since_ms, self.weight_ms - since_ms - WEIGHT_LIMIT_MS)

    def one_more(self, boot: str, boot_ms: int) -> Attempts:
        """After another wrong try."""
        weight_ms = max(0, self.weight_ms - self._since_ms(boot, boot_ms)) + TRY_WEIGHS_MS
        return Attempts(self.wrong + 1, boot, boot_ms, weight_ms)

    def after_a_right_one(self, boot: str, boot_ms: int) -> Attempts:
        """None is wrong any more, but all weigh as before."""
        return Attempts(0, boot, boot_ms, max(0, self.weight_ms - self._since_ms(boot, boot_ms)))

    @property
    def left(self) -> int:
        """Tries until the next pause."""
        return max(0, FREE_TRIES - self.wrong)

    def _since_ms(self, boot: str, boot_ms: int) -> int:
        return boot_ms - self.boot_ms if boot == self.boot else boot_ms

    def _pause_ms(self) -> int:
        if self.wrong < FREE_TRIES:
            return 0
        doublings = min(self.wrong - FREE_TRIES, 16)
        return int(min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2**doublings))


@dataclass(frozen=True, slots=True)
class WrongPin:
    """Nobody has this PIN. `left` tries remain before a pause; 0: `wait_ms` begins now."""

    left: int
    wait_ms: int


@dataclass(frozen=True, slots=True)
class PinsPaused:
    """Too many wrong tries: nothing was looked at."""

    wait_ms: int


@dataclass(frozen=True, slots=True)
class NoStaff:
    """Nobody has a PIN at this box yet."""


@dataclass(frozen=True, slots=True)
class PinsBusy:
    """Another try is being looked at."""


class Pins:
    """One try at a time. `attempts`: as they stood when the agent ended. `look` gives the world of the moment.

    Any thread may try. Attempts are kept in memory too, so that staff can export what is there when the disk takes
    nothing; they are never read again, or a disk that answers nothing would forget wrong tries."""

    def __init__(self, staff: Staff, journal: Journal, look: Callable[[], World], attempts: Attempts) -> None:
        self._staff = staff
        self._journal = journal
        self._look = look
        self._trying = threading.Lock()
        self._held = attempts

    def has_staff(self) -> bool:
        """False while nobody may act here at all; a file that cannot be read is told when a PIN is tried."""
        try:
            return self._staff.roll() is not None
        except StaffError:
            return True

    def wait_ms(self) -> int:
        """How long no try is taken; 0 when one is."""
        world = self._look()
        return self._held.wait_ms(world.boot, world.now.monotonic_ms)

    def recognise(self, pin: str, lane: int) -> Member | WrongPin | PinsPaused | NoStaff | PinsBusy:
        """Who has this PIN. A try counts as wrong, on disk, before it is looked at: no kill gives it back.

        Raises staff.StaffError when the file with the members cannot be read.
        """
        roll = self._staff.roll()
        if roll is None:
            return NoStaff()
        if not self._trying.acquire(timeout=HASH_WAIT_S):
            return PinsBusy()
        try:
            world = self._look()
            held = self._held
            wait_ms = held.wait_ms(world.boot, world.now.monotonic_ms)
            if wait_ms:
                return PinsPaused(wait_ms)
            counted = held.one_more(world.boot, world.now.monotonic_ms)
            self._keep(counted)
            member = roll.find(pin[: MAX_PIN_DIGITS + 1])
            if member is not None:
                self._keep(held.after_a_right_one(world.boot, world.now.monotonic_ms))
                return member
        finally:
            self._trying.release()
        self._journal.post(lambda entries: judging.append_event(entries, EventWord.WRONG_PIN, world, lane))
        return WrongPin(counted.left, counted.wait_ms(world.boot, world.now.monotonic_ms))

    def _keep(self, attempts: Attempts) -> None:
        self._held = attempts
        columns = (attempts.wrong, attempts.boot, attempts.boot_ms, attempts.weight_ms)
        self._journal.perform(lambda entries: entries.keep_pin_attempts(*columns))
