"""The people who have an electronic card, and the codes their phones draw: each good once, for a while."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

PREFIX = "SSC1"
BODY_CHARACTERS = 24
"""So a code is SSC1 and 24 letters and digits."""
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
REMEMBERED_MS = 3_600_000
"""How long it is known of a code that it was used, or is over; then it is one that never was."""
MAX_CODES = 10_000
MAX_PEOPLE = 10_000


class Outcome(StrEnum):
    """What the platform says of a code."""

    FOUND = "FOUND"
    UNKNOWN = "UNKNOWN"
    EXPIRED = "EXPIRED"
    USED = "USED"


@dataclass(frozen=True)
class Person:
    """Who holds a card. `identification`: the card identification code, where the card has one."""

    id_number: str
    identification: str | None = None


@dataclass
class _Code:
    person: Person
    drawn_at_ms: int
    used: bool = False
    replaced: bool = False


class Full(Exception):
    """More people or codes than this stand-in keeps."""


class Wallets:
    """Safe for many threads. `choose` picks one character of an alphabet by chance, `now_ms` is its clock."""

    def __init__(self, ttl_ms: int, now_ms: Callable[[], int], choose: Callable[[str], str]) -> None:
        self._ttl_ms, self._now_ms, self._choose = ttl_ms, now_ms, choose
        self._lock = threading.Lock()
        self._people: dict[str, Person] = {}
        self._codes: dict[str, _Code] = {}
        self._newest: dict[str, str] = {}

    def add(self, person: Person) -> None:
        """Give somebody an electronic card, or change it."""
        with self._lock:
            if len(self._people) >= MAX_PEOPLE and person.id_number not in self._people:
                raise Full(f"there are {MAX_PEOPLE} people already")
            self._people[person.id_number] = person

    def draw(self, id_number: str) -> str:
        """The next code on a person's phone; the one before it is over. KeyError: there is no such person."""
        with self._lock:
            person, now_ms = self._people[id_number], self._now_ms()
            self._forget(now_ms)
            if len(self._codes) >= MAX_CODES:
                raise Full(f"there are {MAX_CODES} codes within the last hour already")
            before = self._newest.get(id_number)
            if before in self._codes:
                self._codes[before].replaced = True
            code = PREFIX + "".join(self._choose(ALPHABET) for _ in range(BODY_CHARACTERS))
            self._codes[code], self._newest[id_number] = _Code(person, now_ms), code
            return code

    def resolve(self, code: str) -> Person | Outcome:
        """Whose code it is, and that it is used now; or why nobody is told."""
        with self._lock:
            now_ms = self._now_ms()
            self._forget(now_ms)
            found = self._codes.get(code)
            if found is None:
                return Outcome.UNKNOWN
            if found.used:
                return Outcome.USED
            if found.replaced or now_ms - found.drawn_at_ms >= self._ttl_ms:
                return Outcome.EXPIRED
            found.used = True
            return found.person

    def _forget(self, now_ms: int) -> None:
        """Codes are kept in the order in which they were drawn."""
        while self._codes and now_ms - self._codes[oldest := next(iter(self._codes))].drawn_at_ms >= REMEMBERED_MS:
            del self._codes[oldest]
