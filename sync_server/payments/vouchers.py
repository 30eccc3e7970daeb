"""A bank's word for money that moved outside of this system, as people type it: it stands for one thing in the book."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.db import insert_new
from sync_server.errors import NotAllowedError
from sync_server.payments.tables import used_voucher

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

    def __post_init__(self) -> None:
        """However wide the letters were typed and whatever blanks stood round them, it is one voucher."""
        for name in ("bank", "number"):
            object.__setattr__(self, name, unicodedata.normalize("NFKC", getattr(self, name)).strip())

    @property
    def key(self) -> dict[str, str]:
        """What makes two of them the same: neither blanks within nor capitals."""
        return {name: "".join(getattr(self, name).casefold().split()) for name in ("bank", "number")}

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
            if not text or len(text) > most or not text.isprintable():
                return f"the {name} needs 1 to {most} characters on one line"
        latest = (datetime.fromtimestamp(now_ms / 1000, UTC) + FARTHEST_EAST).date()
        if not latest - MAX_AGE <= self.paid_on <= latest:
            return f"{self.paid_on} is in the future, or more than a year ago: give the day on which the bank was paid"
        if self.file_sha256 is not None and not _HASH.fullmatch(self.file_sha256):
            return "a file is named by its SHA-256: 64 hexadecimal digits"
        return None


def refuse_used(connection: Connection, voucher: Voucher) -> None:
    """NotAllowedError for one that stands for something in the book."""
    same = sa.and_(*(used_voucher.c[name] == text for name, text in voucher.key.items()))
    used = connection.scalar(sa.select(used_voucher.c.txn_key).where(same))
    if used is not None:
        raise NotAllowedError(f"the voucher {voucher.number} of {voucher.bank} is booked already, as {used}")


def use(connection: Connection, voucher: Voucher, txn_key: str, now_ms: int) -> None:
    """Let it stand for this transaction, in the caller's: no other may name it from now on."""
    row = {**voucher.key, "txn_key": txn_key, "used_at_ms": now_ms}
    if not insert_new(used_voucher, ["bank", "number"], [row], connection):
        refuse_used(connection, voucher)
