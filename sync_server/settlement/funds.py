"""A combo's money in the wealth product 理财: bought when it is issued, sold as venues are visited, closed at its end.

Each order has a fund of its own, which the provider knows by the order's number. The steps find their work in the
tables, in any order of events: a sale waits for the purchase, closing waits for the sales, and what is left of the
margin is earned once the fund is closed. Redemption and payout wait for none of it (money.md Q9, Q10).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import setbacks
from sync_server.bulk import append
from sync_server.centre import Centre
from sync_server.db import exclusive
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import balance
from sync_server.ledger.book import legs
from sync_server.orders.tables import item_claim, order, order_item, ticket
from sync_server.payments import transfers
from sync_server.payments.providers import CLEARING
from sync_server.payments.states import FINAL
from sync_server.payments.tables import external_transfer
from sync_server.settlement.finishing import earned
from sync_server.settlement.tables import fund_sale

ACTOR = "system:funds"
BUYING = "settlement.buy_funds"
SELLING = "settlement.sell_from_funds"
CLOSING = "settlement.close_funds"
MAX_PER_STEP = 500
PROVIDER = "HUIJINBAO"
"""Who keeps the funds; what Alipay holds is swept there first (P12)."""
TITLES = {"FUND_BUY": "理财买入", "FUND_SELL": "理财取出", "FUND_CLOSE": "理财清算"}


def buy_funds(centre: Centre) -> int:
    """Worker step: ask for the purchase (P3) of what issued combos brought in; how many orders."""
    due = sa.text(
        '"order".issued_at_ms IS NOT NULL AND "order".invest_basis IS NOT NULL AND "order".invested_at_ms IS NULL'
    )  # as ix_order_to_invest says
    venue_prices_fen = (
        sa.select(sa.cast(sa.func.sum(order_item.c.venue_price_fen), sa.BigInteger))
        .join(ticket, ticket.c.id == order_item.c.ticket_id)
        .where(ticket.c.order_id == order.c.id)
        .scalar_subquery()
    )
    amount_fen = sa.case((order.c.invest_basis == "DIST_PRICE", order.c.dist_price_fen), else_=venue_prices_fen)
    found = sa.select(order.c.id, order.c.number, amount_fen.label("amount_fen")).where(due)
    return _do(centre, BUYING, found, order.c.id, _buy)


def _buy(connection: Connection, rows: Sequence[sa.Row[Any]], now_ms: int) -> None:
    wanted = [_request("FUND_BUY", f"fundbuy:{row.id.hex}", row.id, row, row.amount_fen) for row in rows]
    transfers.request(connection, wanted, ACTOR, now_ms)
    mine = order.c.id.in_([row.id for row in rows])
    connection.execute(order.update().where(mine).values(invested_at_ms=now_ms))


def note_sales(connection: Connection, visited: Iterable[sa.Row[Any]]) -> None:
    """Of these items, those of combos: the price of each is to be taken out of the fund, once it is bought."""
    invested = [row for row in visited if row.invest_basis is not None]
    append(
        connection,
        fund_sale,
        [{"item_id": row.item_id, "order_id": row.order_id, "amount_fen": row.venue_price_fen} for row in invested],
    )


def sell_from_funds(centre: Centre) -> int:
    """Worker step: ask for the sale (P5) of what visited venues are owed, once the fund was bought; how many items."""
    due = sa.text("fund_sale.transfer_id IS NULL")  # as ix_fund_sale_due says
    found = (
        sa.select(fund_sale.c.item_id, fund_sale.c.amount_fen, order.c.id, order.c.number)
        .join(order, order.c.id == fund_sale.c.order_id)
        .where(due, _state_of("FUND_BUY") == "SUCCEEDED")
    )
    return _do(centre, SELLING, found, fund_sale.c.item_id, _sell)


def _sell(connection: Connection, rows: Sequence[sa.Row[Any]], now_ms: int) -> None:
    wanted = [_request("FUND_SELL", f"fundsell:{row.item_id.hex}", row.item_id, row, row.amount_fen) for row in rows]
    ids = transfers.request(connection, wanted, ACTOR, now_ms)
    asked = fund_sale.update().where(fund_sale.c.item_id == sa.bindparam("item"))
    pairs = [{"item": one.subject_id, "transfer": ids[one.subject_key]} for one in wanted]
    connection.execute(asked.values(transfer_id=sa.bindparam("transfer")), pairs)


def close_funds(centre: Centre) -> int:
    """Worker step: close the funds of orders that ended (P9), then their margin is earned (P10); how many moved on.

    A fund is closed once nothing is to be sold of it any more; it is over when it is closed, or was never bought.
    """
    ended = sa.text(
        '"order".invested_at_ms IS NOT NULL AND "order".fund_closed_at_ms IS NULL AND "order".first_end IS NULL'
    )  # as ix_order_fund_ended says
    bought, closed = _state_of("FUND_BUY"), _state_of("FUND_CLOSE")
    is_over = sa.or_(bought == "VOID", closed.in_(FINAL))  # only an empty fund can be given up
    may_close = sa.and_(bought == "SUCCEEDED", closed.is_(None), ~_unsold().exists())
    found = sa.select(order.c.id, order.c.number, is_over.label("is_over")).where(ended, sa.or_(is_over, may_close))
    return _do(centre, CLOSING, found, order.c.id, _close)


def _state_of(kind: str) -> sa.ScalarSelect[str]:
    """The state of an order's transfer of a kind, looked up for each order: whoever joins them reads all transfers."""
    mine = sa.and_(external_transfer.c.subject_id == order.c.id, external_transfer.c.kind == kind)
    return sa.select(external_transfer.c.state).where(mine).scalar_subquery()


def _unsold() -> sa.Select[Any]:
    """Visited items of an order that are not sold yet: not cleared, or on their way."""
    sold = external_transfer.alias("sold")
    return (
        sa.select(order_item.c.id)
        .join(ticket, ticket.c.id == order_item.c.ticket_id)
        .join(item_claim, item_claim.c.item_id == order_item.c.id)
        .outerjoin(fund_sale, fund_sale.c.item_id == order_item.c.id)
        .outerjoin(sold, sold.c.id == fund_sale.c.transfer_id)
        .where(ticket.c.order_id == order.c.id, item_claim.c.kind == "REDEEM")
        .where(sa.func.coalesce(sold.c.state, "").not_in(("SUCCEEDED", "VOID")))
    )


def _close(connection: Connection, rows: Sequence[sa.Row[Any]], now_ms: int) -> None:
    over = [row.id for row in rows if row.is_over]
    left_fen = {order_id: -balance(connection, Account("2120", order_id)).posted_fen for order_id in over}
    margins = [txn for order_id in over if (txn := earned(order_id, left_fen[order_id], now_ms, ACTOR)) is not None]
    wanted = [_closing(connection, row) for row in rows if not row.is_over]
    transfers.request(connection, wanted, ACTOR, now_ms, posted=margins)
    connection.execute(order.update().where(order.c.id.in_(over)).values(fund_closed_at_ms=now_ms))
    never_bought = sa.and_(fund_sale.c.order_id.in_(over), fund_sale.c.transfer_id.is_(None))
    connection.execute(fund_sale.delete().where(never_bought))


def _closing(connection: Connection, row: sa.Row[Any]) -> transfers.Request:
    principal_fen = balance(connection, Account("1110", row.id)).posted_fen
    return _request("FUND_CLOSE", f"fundclose:{row.id.hex}", row.id, row, principal_fen)


def _request(kind: str, subject_key: str, subject_id: UUID, row: sa.Row[Any], amount_fen: int) -> transfers.Request:
    """A movement of an order's fund: out of the clearing account into it, or back."""
    into_fund_fen = amount_fen if kind == "FUND_BUY" else -amount_fen
    return transfers.Request(
        kind=kind,
        subject_key=subject_key,
        subject_id=subject_id,
        provider=PROVIDER,
        party_id=None,
        account_ref=row.number,
        amount_fen=amount_fen,
        title=f"{TITLES[kind]} {row.number}",
        legs=legs((Account("1110", row.id), into_fund_fen), (CLEARING[PROVIDER], -into_fund_fen)),
    )


def _do(
    centre: Centre,
    step: str,
    found: sa.Select[Any],
    key: sa.Column[UUID],
    act: Callable[[Connection, Sequence[sa.Row[Any]], int], None],
) -> int:
    """Do `act` on what a step finds; how many rows. One that cannot be done is put aside."""
    if not centre.finds(found):
        return 0
    with centre.write() as connection:
        exclusive(connection, step)
        now_ms = centre.now_ms()
        tried = found.where(key.not_in([UUID(bytes=one) for one in setbacks.left_out(connection, step, now_ms)]))
        rows = connection.execute(tried.order_by(key).limit(MAX_PER_STEP).with_for_update(of=order)).all()

        def act_now(connection: Connection, rows: Sequence[sa.Row[Any]]) -> None:
            act(connection, rows, now_ms)

        return setbacks.act_on(connection, step, rows, lambda row: bytes(row[0].bytes), act_now, now_ms)
