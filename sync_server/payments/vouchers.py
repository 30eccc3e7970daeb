"""A bank's word for money that moved outside of this system, as people type it: it stands for one thing in the book.

A request names it, and another person confirms that with the voucher before them.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.approvals.tables import approval
from sync_server.db import exclusive
from sync_server.errors import NotAllowedError
from sync_server.payments.tables import bank_voucher

LOCK = "payments.vouchers"
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
    def key(self) -> str:
        """What makes two of them the same: neither blanks within nor capitals."""
        return " ".join("".join(text.casefold().split()) for text in (self.bank, self.number))

    @property
    def words(self) -> str:
        """For the second person, who has it before them."""
        copy = "" if self.file_sha256 is None else f", its copy {self.file_sha256[:8]}…"
        return f"{self.bank}, voucher {self.number} of {self.paid_on}{copy}"

    @property
    def detail(self) -> dict[str, str | None]:
        """For the event log."""
        paid_on = self.paid_on.isoformat()
        return {"bank": self.bank, "paid_on": paid_on, "voucher": self.number, "file_sha256": self.file_sha256}

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


def keep(connection: Connection, request_id: UUID, voucher: Voucher, now_ms: int) -> None:
    """Keep what a request names, in the caller's transaction.

    NotAllowedError: it is flawed, stands for something in the book, or another request that waits names it.
    """
    if (flaw := voucher.flaw(now_ms)) is not None:
        raise NotAllowedError(flaw)
    exclusive(connection, LOCK)
    waits = sa.and_(approval.c.state == "REQUESTED", approval.c.expires_at_ms > now_ms)
    same = (
        sa.select(bank_voucher.c.txn_key, approval.c.id, approval.c.act)
        .join(approval, approval.c.id == bank_voucher.c.request_id)
        .where(bank_voucher.c.key == voucher.key, sa.or_(bank_voucher.c.txn_key.is_not(None), waits))
    )
    if (other := connection.execute(same).first()) is not None:
        booked = f"is booked already, as {other.txn_key}"
        asked = f"is named by the request {other.id} ({other.act}) already: confirm or withdraw that first"
        raise NotAllowedError(f"the voucher {voucher.number} of {voucher.bank} {booked if other.txn_key else asked}")
    row = {"request_id": request_id, "key": voucher.key, **asdict(voucher)}
    connection.execute(bank_voucher.insert().values(row))


def kept(connection: Connection, request_id: UUID) -> Voucher:
    """What a request names."""
    row = connection.execute(sa.select(bank_voucher).where(bank_voucher.c.request_id == request_id)).one()
    return Voucher(row.bank, row.paid_on, row.number, row.file_sha256)


def use(connection: Connection, request_id: UUID, txn_key: str) -> Voucher:
    """Let what a request names stand for this transaction, in the caller's; the voucher."""
    mine = bank_voucher.update().where(bank_voucher.c.request_id == request_id)
    connection.execute(mine.values(txn_key=txn_key))
    return kept(connection, request_id)
