"""A month's pool for visits with an annual pass, shared by its venues according to their visits (money.md P21).

It is shared once every gate has told what it did until the month's end: what counts is what happened by then, whatever
order the centre heard of it in (I14). What comes of gates that two persons gave up has no part, nor what is given back
later on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.approvals.approvals import Person
from sync_server.audit.log import record
from sync_server.bulk import insert_missing
from sync_server.catalog.fees import fee_for
from sync_server.catalog.products import find_product
from sync_server.catalog.tables import product_item
from sync_server.db import derived_id, exclusive
from sync_server.errors import NotAllowedError
from sync_server.gates.watermarks import complete_through_ms
from sync_server.issuance.tables import issued_pass
from sync_server.ledger.accounts import Account
from sync_server.ledger.book import Txn, legs
from sync_server.money import shares_of
from sync_server.parties.tables import venue
from sync_server.people.permissions import Permission, need
from sync_server.redemptions.judge import TOLERANCE_MS
from sync_server.redemptions.tables import is_given_back, is_of_frozen_journal, redemption
from sync_server.settlement.collecting import Owed, clear, collect
from sync_server.settlement.months import SHUT_AFTER_MS, Month, month_named
from sync_server.settlement.tables import payout_line, visit_pool
from sync_server.settlement.visits import STEP

MAX_REASON_CHARACTERS = 200


class PoolShare(NamedTuple):
    """What a venue gets, its payout fee not yet taken."""

    venue: int
    visits: int
    gross_fen: int


def book_pool(
    connection: Connection,
    who: Person,
    product_number: int,
    month_name: str,
    amount_fen: int,
    reason: str,
    zone: str,
    now_ms: int,
) -> list[PoolShare]:
    """Share the pool of a month of which every gate has told, once.

    What has a part is cleared with it, if it was not yet: no tariff is paid for it besides.
    """
    need(who, Permission.PAYOUTS_MANAGE)
    text = reason.strip()
    if not 0 < len(text) <= MAX_REASON_CHARACTERS or amount_fen <= 0:
        raise NotAllowedError(f"a pool needs an amount and a reason of 1 to {MAX_REASON_CHARACTERS} characters")
    month, sold = month_named(month_name, zone), find_product(connection, product_number)
    if sold.visit_settlement != "POOL":
        raise NotAllowedError(f"product {product_number} is settled {sold.visit_settlement}, not by a POOL")
    if now_ms < month.ends_ms + SHUT_AFTER_MS:
        raise NotAllowedError(f"the month {month.name} is not over for 10 minutes yet")
    if behind := _behind(connection, sold.id, month, now_ms):
        raise NotAllowedError(
            f"gates of venues {behind} may still bring visits of {month.name}: see `gate journals`; what never comes "
            "back is retired by two persons"
        )
    exclusive(connection, STEP)
    counted = _cleared_visits(connection, sold.id, month, now_ms)
    visits = sum(row.visits for row in counted)
    if not visits:
        raise NotAllowedError(f"nobody visited with product {product_number} in {month.name}")
    pool = {"product_id": sold.id, "month": month.name, "amount_fen": amount_fen, "visits": visits}
    new = {**pool, "booked_by": who.actor, "booked_at_ms": now_ms}
    if not insert_missing(connection, visit_pool, [new]):
        raise NotAllowedError(f"the pool of product {product_number} for {month.name} is booked already")
    shares = shares_of(amount_fen, [row.visits for row in counted])
    _book(connection, sold, month, [pair for pair in zip(counted, shares, strict=True) if pair[1]], who.actor, now_ms)
    detail = {"month": month.name, "amount_fen": amount_fen, "visits": visits, "reason": text}
    record(connection, now_ms, who.actor, "visits.pool", f"product:{product_number}", detail)
    return [PoolShare(row.number, row.visits, fen) for row, fen in zip(counted, shares, strict=True)]


def share_id(key: str, at_ms: int) -> UUID:
    """The adjustment that a venue's share is in its payout, by its ledger key and the month's last moment."""
    return derived_id(UUID(int=(at_ms + 1) << 80), key)


def _cleared_visits(connection: Connection, product_id: UUID, month: Month, now_ms: int) -> Sequence[sa.Row[Any]]:
    """How often each venue was visited with passes of a product, by its number, all of it cleared.

    What staff gave back until the month's end, what a tariff was paid for already and what a frozen journal says does
    not count.
    """
    paid = sa.exists().where(payout_line.c.redemption_id == redemption.c.id)
    passes = sa.select(issued_pass.c.id).where(issued_pass.c.product_id == product_id)
    venues = sa.select(product_item.c.venue_id).where(product_item.c.product_id == product_id)
    counts = sa.and_(
        redemption.c.outcome == "PASS_VISIT",
        redemption.c.occurred_at_ms >= month.begins_ms,
        redemption.c.occurred_at_ms < month.ends_ms,
        redemption.c.pass_id.in_(passes),
        redemption.c.venue_id.in_(venues),
        ~is_given_back(before_ms=month.ends_ms),
        ~paid,
        ~is_of_frozen_journal(),
    )
    is_due = redemption.c.cleared_at_ms.is_(None)
    connection.execute(redemption.update().where(counts, is_due).values(cleared_at_ms=now_ms))
    return connection.execute(
        sa.select(venue.c.number, redemption.c.venue_id, sa.func.count().label("visits"))
        .join(venue, venue.c.id == redemption.c.venue_id)
        .where(counts, ~is_due)  # not what comes in beside this
        .group_by(venue.c.number, redemption.c.venue_id)
        .order_by(venue.c.number)
    ).all()


def _book(
    connection: Connection,
    sold: sa.Row[Any],
    month: Month,
    shares: Sequence[tuple[sa.Row[Any], int]],
    actor: str,
    now_ms: int,
) -> None:
    owed, booked = [], []
    for row, share_fen in shares:
        key = f"pool:{sold.number}-{month.name}:{row.venue_id.hex}"
        fee_fen = fee_for(connection, "PAYOUT", row.venue_id, sold.id, share_fen, now_ms)
        at_ms = month.ends_ms - 1
        since, mine = UUID(int=month.ends_ms << 80), share_id(key, at_ms)
        one = Owed("POOL", row.venue_id, since, clear(share_fen, fee_fen), adjustment_id=mine)
        owed.append(one)
        sides = legs(
            (Account("5040"), share_fen),
            (Account("2210", row.venue_id), -one.cleared.net_fen),
            (Account("4020"), -fee_fen),
        )
        booked.append(Txn(key, sides, at_ms, actor))
    collect(connection, owed, booked, now_ms)


def _behind(connection: Connection, product_id: UUID, month: Month, now_ms: int) -> list[int]:
    """The numbers of the venues that some visit of the month may still come of."""
    opened = sa.select(venue.c.id, venue.c.number).join(product_item, product_item.c.venue_id == venue.c.id)
    rows = connection.execute(opened.where(product_item.c.product_id == product_id).order_by(venue.c.number)).all()
    through = {row.number: complete_through_ms(connection, row.id, now_ms) for row in rows}
    return [number for number, at_ms in through.items() if at_ms is None or at_ms < month.ends_ms + TOLERANCE_MS]
