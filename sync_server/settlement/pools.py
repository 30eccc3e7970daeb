"""A month's pool for visits with an annual pass, shared by its venues according to their visits (money.md P21).

It is shared once every gate has told what it did until the month's end: what counts is what happened by then, whatever
order the centre heard of it in (I14). What comes of gates that two persons gave up has no part, nor what is given back
later on, nor an entry without proof that is accepted later on. How much it holds nobody but who types it says, and it
is paid out by itself: two persons agree to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.approvals import approvals
from sync_server.approvals.approvals import Act, Person, Request
from sync_server.audit.log import record
from sync_server.catalog.fees import fee_for
from sync_server.catalog.products import find_product
from sync_server.catalog.tables import product_item
from sync_server.db import derived_id, exclusive
from sync_server.errors import NotAllowedError
from sync_server.gates.watermarks import complete_through_ms
from sync_server.issuance.tables import issued_pass
from sync_server.ledger.accounts import Account
from sync_server.ledger.book import Txn, legs
from sync_server.money import MAX_FEN, shares_of, yuan
from sync_server.parties.tables import venue
from sync_server.people.permissions import Permission
from sync_server.redemptions.judge import TOLERANCE_MS
from sync_server.redemptions.tables import is_given_back, is_of_frozen_journal, redemption
from sync_server.settlement.collecting import Owed, clear, collect
from sync_server.settlement.months import SHUT_AFTER_MS, Month
from sync_server.settlement.tables import payout_line, visit_pool
from sync_server.settlement.visits import STEP

POOL = Act("visits.pool", Permission.PAYOUTS_MANAGE)


class PoolShare(NamedTuple):
    """What a venue gets, its payout fee not yet taken."""

    venue: int
    visits: int
    gross_fen: int


def ask(
    connection: Connection, who: Person, product_number: int, month: Month, amount_fen: int, reason: str, now_ms: int
) -> UUID:
    """Ask that so much is shared for a month of which every gate has told; the id of the request, which another person
    confirms."""
    sold = _sold(connection, product_number, month, now_ms)
    if not 0 < amount_fen <= MAX_FEN:
        raise NotAllowedError(f"a pool holds 1 to {MAX_FEN} fen")
    _need(_visits(connection, _counts(sold.id, month)), product_number, month)
    subject = f"pool:{product_number}:{month.name}:{month.begins_ms}:{month.ends_ms}:{amount_fen}"
    return approvals.request(connection, who, POOL, subject, reason, now_ms)


def confirm(connection: Connection, who: Person, request_id: UUID, now_ms: int) -> list[PoolShare]:
    """Confirm another person's request and share the pool, once.

    What has a part is cleared with it, if it was not yet: no tariff is paid for it besides.
    """
    agreed = approvals.confirm(connection, who, POOL, request_id, now_ms)
    product_number, month, amount_fen = _named(agreed.subject)
    exclusive(connection, STEP)
    sold = _sold(connection, product_number, month, now_ms)
    counted = _need(_cleared_visits(connection, _counts(sold.id, month), now_ms), product_number, month)
    visits = sum(row.visits for row in counted)
    pool = {"product_id": sold.id, "month": month.name, "amount_fen": amount_fen, "visits": visits}
    connection.execute(visit_pool.insert().values(**pool, booked_by=who.actor, booked_at_ms=now_ms))
    shares = _shares(counted, amount_fen)
    pairs = [(row, share.gross_fen) for row, share in zip(counted, shares, strict=True) if share.gross_fen]
    _book(connection, sold, month, pairs, who.actor, now_ms)
    detail = {"month": month.name, "amount_fen": amount_fen, "visits": visits, "reason": agreed.reason}
    detail |= {"asked_by": str(agreed.requested_by)}
    record(connection, now_ms, who.actor, POOL.name, f"product:{product_number}", detail)
    return shares


def in_words(connection: Connection, asked: Request, _now_ms: int) -> str:
    """What is done once another person confirms: who gets how much."""
    product_number, month, amount_fen = _named(asked.subject)
    counted = _visits(connection, _counts(find_product(connection, product_number).id, month))
    each = [f"venue {one.venue} gets {yuan(one.gross_fen)} for {one.visits}" for one in _shares(counted, amount_fen)]
    what = f"the pool of product {product_number} for {month.name}"
    return f"{yuan(amount_fen)} yuan, {what}, are shared by visits: {', '.join(each) or 'nobody visited'}"


def share_id(key: str, at_ms: int) -> UUID:
    """The adjustment that a venue's share is in its payout, by its ledger key and the month's last moment."""
    return derived_id(UUID(int=(at_ms + 1) << 80), key)


def _named(subject: str) -> tuple[int, Month, int]:
    """Product, month and amount."""
    _, product_number, name, begins_ms, ends_ms, amount_fen = subject.split(":")
    return int(product_number), Month(name, int(begins_ms), int(ends_ms)), int(amount_fen)


def _sold(connection: Connection, product_number: int, month: Month, now_ms: int) -> sa.Row[Any]:
    """The product. NotAllowedError: it has no pool, the month is not over or not told of, or its pool is booked."""
    sold = find_product(connection, product_number)
    if sold.visit_settlement != "POOL":
        raise NotAllowedError(f"product {product_number} is settled {sold.visit_settlement}, not by a POOL")
    if now_ms < month.ends_ms + SHUT_AFTER_MS:
        raise NotAllowedError(f"the month {month.name} is not over for 10 minutes yet")
    if behind := _behind(connection, sold.id, month, now_ms):
        raise NotAllowedError(
            f"gates of venues {behind} may still bring visits of {month.name}: see `gate journals`; what never comes "
            "back is retired by two persons"
        )
    mine = sa.and_(visit_pool.c.product_id == sold.id, visit_pool.c.month == month.name)
    if connection.scalar(sa.select(visit_pool.c.visits).where(mine)) is not None:
        raise NotAllowedError(f"the pool of product {product_number} for {month.name} is booked already")
    return sold


def _need(counted: Sequence[sa.Row[Any]], product_number: int, month: Month) -> Sequence[sa.Row[Any]]:
    if not counted:
        raise NotAllowedError(f"nobody visited with product {product_number} in {month.name}")
    return counted


def _counts(product_id: UUID, month: Month) -> sa.ColumnElement[bool]:
    """On `redemption`: a visit of the month with passes of a product.

    What staff gave back until the month's end, what a tariff was paid for already and what a frozen journal says does
    not count.
    """
    paid = sa.exists().where(payout_line.c.redemption_id == redemption.c.id)
    passes = sa.select(issued_pass.c.id).where(issued_pass.c.product_id == product_id)
    venues = sa.select(product_item.c.venue_id).where(product_item.c.product_id == product_id)
    return sa.and_(
        redemption.c.outcome == "PASS_VISIT",
        redemption.c.occurred_at_ms >= month.begins_ms,
        redemption.c.occurred_at_ms < month.ends_ms,
        redemption.c.pass_id.in_(passes),
        redemption.c.venue_id.in_(venues),
        ~is_given_back(before_ms=month.ends_ms),
        ~paid,
        ~is_of_frozen_journal(),
    )


def _visits(connection: Connection, counts: sa.ColumnElement[bool]) -> Sequence[sa.Row[Any]]:
    """How often each venue was visited, by its number."""
    return connection.execute(
        sa.select(venue.c.number, redemption.c.venue_id, sa.func.count().label("visits"))
        .join(venue, venue.c.id == redemption.c.venue_id)
        .where(counts)
        .group_by(venue.c.number, redemption.c.venue_id)
        .order_by(venue.c.number)
    ).all()


def _cleared_visits(connection: Connection, counts: sa.ColumnElement[bool], now_ms: int) -> Sequence[sa.Row[Any]]:
    """The same, of what is cleared: all that there is now, and not what comes in beside this."""
    is_due = redemption.c.cleared_at_ms.is_(None)
    connection.execute(redemption.update().where(counts, is_due).values(cleared_at_ms=now_ms))
    return _visits(connection, sa.and_(counts, ~is_due))


def _shares(counted: Sequence[sa.Row[Any]], amount_fen: int) -> list[PoolShare]:
    shares = shares_of(amount_fen, [row.visits for row in counted]) if counted else []
    return [PoolShare(row.number, row.visits, fen) for row, fen in zip(counted, shares, strict=True)]


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
