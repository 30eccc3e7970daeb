"""A bank's word for money that moved outside of this system, as people type it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

MAX_BANK_CHARACTERS = 100
MAX_NUMBER_CHARACTERS = 64
MAX_AGE = timedelta(days=366)
FARTHEST_EAST = timedelta(hours=14)  # where a day begins first on earth
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Voucher:
    """The bank's name, the day it was paid, the voucher's number, and the SHA-256 of its file where one is kept."""

    bank: str
    paid_on: date
    number: str
    file_sha256: str | None = None

    @property
    def words(self) -> str:
        """For the second person, who has it before them."""
        copy = "" if self.file_sha256 is None else f", its copy {self.file_sha256[:8]}…"
        return f"{self.bank}, voucher {self.number} of {self.paid_on}{copy}"

    def flaw(self, now_ms: int) -> str | None:
        """What is wrong with it, for the person who typed it."""
        for name, text, most in (
            ("bank", self.bank, MAX_BANK_CHARACTERS),
            ("voucher number", self.number, MAX_NUMBER_CHARACTERS),
        ):
            if not text.strip() or len(text) > most or not text.isprintable():
                return f"the {name} needs 1 to {most} characters on one line"
        latest = (datetime.fromtimestamp(now_ms / 1000, UTC) + FARTHEST_EAST).date()
        if not latest - MAX_AGE <= self.paid_on <= latest:
            return f"{self.paid_on} is in the future, or more than a year ago: give the day on which the bank was paid"
        if self.file_sha256 is not None and not _HASH.fullmatch(self.file_sha256):
            return "a file is named by its SHA-256: 64 hexadecimal digits"
        return None
