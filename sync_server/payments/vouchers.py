"""A bank's word for money that moved outside of this system, as people type it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

MAX_BANK_CHARACTERS = 100
MAX_NUMBER_CHARACTERS = 64
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Voucher:
    """The bank's name, the day it was paid, the voucher's number, and the SHA-256 of its file where one is kept."""

    bank: str
    paid_on: date
    number: str
    file_sha256: str | None = None

    def flaw(self) -> str | None:
        """What is wrong with it, for the person who typed it."""
        for name, text, most in (
            ("bank", self.bank, MAX_BANK_CHARACTERS),
            ("voucher number", self.number, MAX_NUMBER_CHARACTERS),
        ):
            if not text.strip() or len(text) > most or not text.isprintable():
                return f"the {name} needs 1 to {most} characters on one line"
        if self.file_sha256 is not None and not _HASH.fullmatch(self.file_sha256):
            return "a file is named by its SHA-256: 64 hexadecimal digits"
        return None
