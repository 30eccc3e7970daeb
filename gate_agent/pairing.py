"""Pairing a tablet: a supervisor has the box show six digits, the tablet's browser types them within five minutes."""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from gate_agent import browsers, judging
from gate_agent.acts import Came, Result, Wish
from gate_agent.browsers import BROWSERS_LIMIT, MAX_NAME_CHARACTERS, Browser
from gate_agent.events import EventName, EventWord, say
from gate_agent.journal import Journal
from gate_agent.staff import Member
from gate_agent.world import World

CODE_DIGITS = 6
OPEN_MS = 300_000
TRIES = 5
"""Wrong ones, of everybody together; then a supervisor has to begin again."""


class NotPaired(StrEnum):
    """Why a browser was not paired."""

    NO_NAME = "no_name"
    TOO_MANY = "too_many"
    NOT_STARTED = "not_started"
    WRONG = "wrong"
    SPENT = "spent"
    DISK = "disk"


@dataclass(slots=True)
class _Code:
    digits: str
    by: str
    ends_ms: int
    tries: int = TRIES


class Pairing:
    """One code at a time, in memory alone: a restart takes it back. `address`: what a tablet opens."""

    def __init__(self, data_dir: Path, journal: Journal, look: Callable[[], World], address: str) -> None:
        self._data_dir = data_dir
        self._journal = journal
        self._look = look
        self._address = address
        self._lock = threading.Lock()
        self._code: _Code | None = None

    def start(self, member: Member, _wish: Wish) -> Result:
        """An act: the digits of a new code, in place of one that was open, and where they are typed."""
        digits = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}"
        with self._lock:
            self._code = _Code(digits, member.name, self._look().now.monotonic_ms + OPEN_MS)
        return Result(Came.DONE, word=f"{digits[:3]} {digits[3:]}", detail=self._address)

    def finish(self, typed: str, name: str) -> str | NotPaired:
        """The cookie of the browser that typed the right digits; a code is good for one."""
        name = " ".join(name.split())
        if not 0 < len(name) <= MAX_NAME_CHARACTERS or not name.isprintable():
            return NotPaired.NO_NAME
        try:
            known = [browser.name for browser in browsers.every(self._data_dir)]
            if len(known) >= BROWSERS_LIMIT and name not in known:
                return NotPaired.TOO_MANY
            tried = self._try(typed)
            if isinstance(tried, NotPaired):
                return tried
            token = browsers.add(self._data_dir, Browser(name, self._look().now.record_ms, tried))
        except OSError:
            return NotPaired.DISK
        self._note(say(EventWord.BROWSER_PAIRED, name), tried)
        return token

    def browser(self, token: str) -> str | None:
        """What the browser with this cookie is called; None for one that is not paired, or not any more."""
        found = browsers.find(self._data_dir, token)
        return None if found is None else found.name

    def _try(self, typed: str) -> str | NotPaired:
        """Who started the pairing whose code this is, used up by it; a wrong one counts before anything is said."""
        digits = "".join(filter(str.isdigit, typed))
        with self._lock:
            code = self._code
            if code is None or self._look().now.monotonic_ms >= code.ends_ms:
                self._code = None
                return NotPaired.NOT_STARTED
            code.tries -= 1
            left, right = code.tries, hmac.compare_digest(digits.encode(), code.digits.encode())
            if right or not left:
                self._code = None
        if right:
            return code.by
        if left:
            return NotPaired.WRONG
        self._note(say(EventWord.PAIRING_ENDED, "too many wrong codes"))
        return NotPaired.SPENT

    def _note(self, name: EventName, who: str | None = None) -> None:
        world = self._look()
        self._journal.post(lambda entries: judging.append_event(entries, name, world, who=who))
