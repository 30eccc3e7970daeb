"""Registering and finding parties, and allotting the numbers that tokens and feeds carry."""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from sync_server.audit.log import record
from sync_server.bulk import insert_missing
from sync_server.db import new_id
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import balance
from sync_server.parties.tables import number_series, party, venue

MAX_NAME = 100
MAX_REF = 64
_ORG_NUMBER = re.compile(r"[0-9A-Z]{1,16}")
MAX_NUMBER = 65_535  # u16 on the wire


@dataclass(frozen=True)
class NewParty:
    """What is asked of a party. `account_ref` is its account at the payment provider, 支付宝 or 汇金宝."""

    kind: str
    org_number: str
    name_zh: str
    name_en: str
    account_ref: str
    provider: str = "ALIPAY"


def add_party(connection: Connection, new: NewParty, zone: str, now_ms: int) -> UUID:
    """Register a party; a venue gets its number and the zone its days are counted in."""
    _check(connection, new)
    party_id = new_id(now_ms)
    connection.execute(
        party.insert().values(
            id=party_id,
            kind=new.kind,
            org_number=new.org_number,
            name_zh=new.name_zh,
            name_en=new.name_en,
            provider=new.provider,
            account_ref=new.account_ref,
            funding="DIRECT_DEBIT" if new.kind == "DISTRIBUTOR" else None,
            payout_mode="PER_REDEMPTION" if new.kind == "VENUE" else None,
            created_at_ms=now_ms,
        )
    )
    if new.kind == "VENUE":
        connection.execute(venue.insert().values(id=party_id, number=allot_number(connection, "venue"), zone=zone))
    return party_id


def _check(connection: Connection, new: NewParty) -> None:
    """NotAllowedError: something of it is wrong, or it is there already."""
    if not _ORG_NUMBER.fullmatch(new.org_number):
        raise NotAllowedError("an organisation number has 1 to 16 capital letters and digits")
    named = (("name", new.name_zh, MAX_NAME), ("name", new.name_en, MAX_NAME), ("account", new.account_ref, MAX_REF))
    for what, text, most in named:
        if not 0 < len(text.strip()) <= most or not text.isprintable():
            raise NotAllowedError(f"a party's {what} has 1 to {most} characters on one line")
    taken = party.c.org_number == new.org_number
    if new.kind == "PLATFORM":
        taken = sa.or_(taken, party.c.kind == "PLATFORM")
    there = connection.execute(sa.select(party.c.kind, party.c.org_number).where(taken)).first()
    if there is not None:
        raise NotAllowedError(f"there is the {there.kind} {there.org_number} already")


def set_funding(
    connection: Connection,
    party_id: UUID,
    funding: str,
    goes_on_after_top_up: bool,
    reason: str,
    actor: str,
    now_ms: int,
) -> None:
    """How a distributor pays for the orders it places from now on, and whether held ones go on after a top-up.

    NotAllowedError: what it paid in would be left over.
    """
    row = find_party(connection, party_id)
    if row.kind != "DISTRIBUTOR":
        raise NotAllowedError(f"party {row.org_number} is no distributor: it pays for no orders")
    held = balance(connection, Account("2010", party_id))
    if funding != "PREPAID" and held != (0, 0):
        held_fen, coming_fen = -held.posted_fen, -held.pending_fen
        raise NotAllowedError(
            f"{row.org_number} has {held_fen} fen of what it paid in, and {coming_fen} are on their way: pay them back "
            "by bank first (top-up pay-back), or let its orders use them up"
        )
    changed = {"funding": funding, "goes_on_after_top_up": goes_on_after_top_up}
    connection.execute(party.update().where(party.c.id == party_id).values(changed))
    detail = {"reason": reason, "before": row.funding, **changed}
    record(connection, now_ms, actor, "party.funding", f"party:{party_id.hex}", detail)


def allot_number(connection: Connection, series: str, most: int = MAX_NUMBER) -> int:
    """The next number of a series, from 1; none is ever given twice."""
    insert_missing(connection, number_series, [{"name": series, "last": 0}])
    step = number_series.update().where(number_series.c.name == series).values(last=number_series.c.last + 1)
    number: int = connection.scalars(step.returning(number_series.c.last)).one()
    if number > most:
        raise NotAllowedError(f"all {most} {series} numbers are used up")
    return number


def find_party(connection: Connection, party_id: UUID) -> Row[tuple[object, ...]]:
    """The party's row."""
    found = connection.execute(sa.select(party).where(party.c.id == party_id)).one_or_none()
    if found is None:
        raise NotFoundError(f"no party has the id {party_id}")
    return found


def party_by_org_number(connection: Connection, org_number: str) -> Row[tuple[object, ...]]:
    """The party with this organisation number 机构号."""
    found = connection.execute(sa.select(party).where(party.c.org_number == org_number)).one_or_none()
    if found is None:
        raise NotFoundError(f"no party has the organisation number {org_number!r}")
    return found


def party_words(connection: Connection, party_id: UUID) -> str:
    """A party as people name it to one another."""
    row = find_party(connection, party_id)
    return f"{row.name_zh} ({row.org_number})"


def venue_by_number(connection: Connection, number: int) -> UUID:
    """The id of the venue with this number."""
    found: UUID | None = connection.scalar(sa.select(venue.c.id).where(venue.c.number == number))
    if found is None:
        raise NotFoundError(f"no venue has the number {number}")
    return found
