"""P19: partners' agreed shares of what combos earned, allotted by the month; two persons record that one was paid."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.approvals import approvals
from sync_server.approvals.approvals import Act, Person
from sync_server.audit.log import record
from sync_server.catalog.tables import product
from sync_server.db import exclusive
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.ledger import book
from sync_server.ledger.accounts import CHART, Account
from sync_server.money import BASIS_POINTS, shares_of, yuan
from sync_server.parties.parties import find_party, party_words
from sync_server.payments import vouchers
from sync_server.payments.vouchers import Voucher
from sync_server.people.permissions import Permission, need
from sync_server.profit.report import Month, profit_of
from sync_server.profit.tables import PAID_FROM, profit_allocation, profit_payment, profit_share
from sync_server.settlement.months import SHUT_AFTER_MS

PAY = Act("profit.pay", Permission.PROFIT_SHARE)
STEP = "profit.sharing"
MAX_REASON_CHARACTERS = 200


class Share(NamedTuple):
    """What a partner gets of a month's profit of all products, in fen."""

    partner_id: UUID
    amount_fen: int


def agree(
    connection: Connection,
    who: Person,
    product_id: UUID,
    partner_id: UUID,
    share_bps: int,
    reason: str,
    now_ms: int,
) -> None:
    """Note a partner's share of a combo's profit, in basis points; it holds for months that are allocated later."""
    need(who, Permission.PROFIT_SHARE)
    if find_party(connection, partner_id).kind != "PARTNER":
        raise NotAllowedError("a share of the profit is for a partner")
    sold = connection.execute(sa.select(product.c.kind, product.c.number).where(product.c.id == product_id)).one()
    if sold.kind != "COMBO":
        raise NotAllowedError(f"product {sold.number} is a {sold.kind}: only the profit of combos is shared out")
    if not 0 < len(reason) <= MAX_REASON_CHARACTERS:
        raise NotAllowedError(f"a share needs a reason of 1 to {MAX_REASON_CHARACTERS} characters")
    exclusive(connection, STEP)
    others = {partner: bps for partner, bps in shares_in(connection, product_id).items() if partner != partner_id}
    if sum(others.values()) + share_bps > BASIS_POINTS:
        raise NotAllowedError(f"the other partners have {sum(others.values())} of {BASIS_POINTS} basis points")
    mine = sa.and_(profit_share.c.product_id == product_id, profit_share.c.partner_id == partner_id)
    last = connection.scalar(sa.select(sa.func.max(profit_share.c.seq)).where(mine)) or 0
    row = {"product_id": product_id, "partner_id": partner_id, "seq": last + 1, "share_bps": share_bps}
    connection.execute(profit_share.insert().values(**row, agreed_at_ms=now_ms, actor=who.actor, reason=reason))
    detail = {"partner": str(partner_id), "share_bps": share_bps, "reason": reason}
    record(connection, now_ms, who.actor, "profit.share", f"product:{product_id}", detail)


def shares_in(connection: Connection, product_id: UUID) -> dict[UUID, int]:
    """Each partner's share of a product's profit now, in basis points, in the order of their ids."""
    mine = sa.select(profit_share).where(profit_share.c.product_id == product_id)
    newest = {row.partner_id: row.share_bps for row in connection.execute(mine.order_by(profit_share.c.seq))}
    return {partner_id: newest[partner_id] for partner_id in sorted(newest) if newest[partner_id]}


def allocate(connection: Connection, who: Person, month: Month, now_ms: int) -> list[Share]:
    """Share out what combos earned in a month that is over, once and for all; what the partners got.

    A product that earned nothing shares nothing; what the partners do not get stays with the platform.
    """
    need(who, Permission.PROFIT_SHARE)
    if now_ms < month.until_ms + SHUT_AFTER_MS:
        raise NotAllowedError(f"{month.name} is not over for 10 minutes yet")
    exclusive(connection, STEP)
    there = sa.select(profit_allocation.c.month).where(profit_allocation.c.month == month.name)
    if connection.execute(there.limit(1)).first() is not None:
        raise NotAllowedError(f"the profit of {month.name} is shared out already")
    profits = Counter[UUID]()
    for row in profit_of(connection, month):
        profits[row.product_id] += row.profit_fen
    rows = []
    for product_id, profit_fen in sorted(profits.items()):
        agreed = shares_in(connection, product_id)
        if profit_fen <= 0 or not agreed:
            continue
        parts = shares_of(profit_fen, [*agreed.values(), BASIS_POINTS - sum(agreed.values())])
        rows += [
            {
                "product_id": product_id,
                "partner_id": partner_id,
                "profit_fen": profit_fen,
                "share_bps": bps,
                "amount_fen": part,
            }
            for (partner_id, bps), part in zip(agreed.items(), parts, strict=False)
        ]
    if not rows:
        return []
    said = {"month": month.name, "allocated_at_ms": now_ms, "actor": who.actor}
    connection.execute(profit_allocation.insert(), [{**row, **said} for row in rows])
    shares = _shares(connection, month.name)
    booked = [
        book.Txn(
            _key(month.name, share.partner_id),
            book.legs((Account("3010"), share.amount_fen), (Account("2410", share.partner_id), -share.amount_fen)),
            now_ms,
            who.actor,
        )
        for share in shares
        if share.amount_fen
    ]
    book.post(connection, booked, now_ms)
    detail = {"partners": len(shares), "amount_fen": sum(share.amount_fen for share in shares)}
    record(connection, now_ms, who.actor, "profit.allocate", f"profit:{month.name}", detail)
    return shares


def ask_to_pay(
    connection: Connection,
    who: Person,
    month: str,
    partner_id: UUID,
    paid_from: str,
    voucher: Voucher,
    reason: str,
    now_ms: int,
) -> UUID:
    """Say that a partner's share of a month was paid, from where, by which voucher; another person confirms."""
    amount_fen = next((one.amount_fen for one in _shares(connection, month) if one.partner_id == partner_id), 0)
    if not amount_fen:
        raise NotFoundError(f"nothing of {month} is owed to this partner")
    if paid_from not in PAID_FROM:
        raise NotAllowedError(f"a share is paid from one of {', '.join(PAID_FROM)}")
    _check_unpaid(connection, month, partner_id)
    asked = approvals.request(connection, who, PAY, _key(month, partner_id), reason, now_ms)
    vouchers.keep(connection, asked, voucher, now_ms)
    row = {"approval_id": asked, "month": month, "partner_id": partner_id, "amount_fen": amount_fen}
    connection.execute(profit_payment.insert().values(**row, paid_from=paid_from))
    return asked


def confirm_payment(connection: Connection, who: Person, approval_id: UUID, now_ms: int) -> Share:
    """Confirm what another person said; it is booked at once."""
    approvals.confirm(connection, who, PAY, approval_id, now_ms)
    mine = profit_payment.c.approval_id == approval_id
    row = connection.execute(sa.select(profit_payment).where(mine)).one()
    _check_unpaid(connection, row.month, row.partner_id)
    paid_key = f"{_key(row.month, row.partner_id)}:paid"
    voucher = vouchers.use(connection, approval_id, paid_key)
    sides = book.legs((Account("2410", row.partner_id), row.amount_fen), (Account(row.paid_from), -row.amount_fen))
    book.post(connection, [book.Txn(paid_key, sides, now_ms, who.actor)], now_ms)
    connection.execute(profit_payment.update().where(mine).values(booked_at_ms=now_ms))
    detail = {"amount_fen": row.amount_fen, "from": row.paid_from, **voucher.detail}
    record(connection, now_ms, who.actor, "profit.pay", _key(row.month, row.partner_id), detail)
    return Share(row.partner_id, row.amount_fen)


def in_words(connection: Connection, asked: approvals.Request, _now_ms: int) -> str:
    """What is done once another person confirms."""
    row = connection.execute(sa.select(profit_payment).where(profit_payment.c.approval_id == asked.id)).one()
    whose = party_words(connection, row.partner_id)
    return (
        f"{yuan(row.amount_fen)} yuan, the share of {whose} in the profit of {row.month}, count as paid"
        f" from {row.paid_from} {CHART[row.paid_from].english} ({vouchers.kept(connection, asked.id).words})"
    )


def _shares(connection: Connection, month: str) -> list[Share]:
    """What each partner got of a month, over all products."""
    allocated = profit_allocation.c
    query = (
        sa.select(allocated.partner_id, sa.cast(sa.func.sum(allocated.amount_fen), sa.BigInteger))
        .where(allocated.month == month)
        .group_by(allocated.partner_id)
        .order_by(allocated.partner_id)
    )
    return [Share(*row) for row in connection.execute(query)]


def _check_unpaid(connection: Connection, month: str, partner_id: UUID) -> None:
    exclusive(connection, STEP)
    paid = sa.and_(profit_payment.c.month == month, profit_payment.c.partner_id == partner_id)
    booked = sa.select(profit_payment.c.approval_id).where(paid, profit_payment.c.booked_at_ms.is_not(None))
    if connection.execute(booked).first() is not None:
        raise NotAllowedError(f"this partner's share of {month} is paid already")


def _key(month: str, partner_id: UUID) -> str:
    return f"profit:{month}:{partner_id.hex}"
