"""Placing an order: stock reserved, prices and fees frozen, tickets and items laid out, in one transaction."""

from __future__ import annotations

import secrets as chance
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.catalog import fees, products
from sync_server.catalog.stock import OutOfStock, Taken, reserve
from sync_server.centre import Centre
from sync_server.crypto import blind_index, seal
from sync_server.db import insert_new, new_id
from sync_server.money import shares_of
from sync_server.orders import history
from sync_server.orders.holders import Holder, holder_row, person_index
from sync_server.orders.tables import holder, order, order_item, person_product, ticket
from wire.credential import mask_phone

MAX_TICKETS = 200  # per order
MINUTE_MS = 60_000


@dataclass(frozen=True)
class NewOrder:
    """What is asked for. Without a distributor a visitor pays at the cashier. Holders: one per ticket, or none."""

    product_number: int
    count: int
    channel: str
    distributor_id: UUID | None = None
    holders: tuple[Holder, ...] = ()
    buyer_phone: str | None = None


@dataclass(frozen=True)
class Placed:
    """The order as it now stands, waiting for its payment; `amount_fen` includes the charge fee."""

    order_id: UUID
    number: str
    amount_fen: int


@dataclass(frozen=True)
class Unfit:
    """The order cannot be taken as asked; the reason is for the person who asked."""

    reason: str


@dataclass(frozen=True)
class AlreadyHeld:
    """该游客已办理本年票: this person has an open order or a live pass of this product."""

    holder_name: str


def place(
    centre: Centre, connection: Connection, new: NewOrder, actor: str
) -> Placed | OutOfStock | Unfit | AlreadyHeld:
    """Place an order in the caller's transaction. Anything but Placed left nothing behind."""
    sold = products.find_product(connection, new.product_number)
    if (flaw := _flaw(new, sold)) is not None:
        return Unfit(flaw)
    with connection.begin_nested() as savepoint:
        outcome = _place(centre, connection, new, sold, actor)
        if not isinstance(outcome, Placed):
            savepoint.rollback()
    return outcome


def _place(
    centre: Centre, connection: Connection, new: NewOrder, sold: sa.Row[Any], actor: str
) -> Placed | OutOfStock | AlreadyHeld:
    now_ms, order_id = centre.now_ms(), centre.new_id()
    taken = reserve(connection, sold.id, new.count)
    if isinstance(taken, OutOfStock):
        return taken
    price_fen = sum(each.price_fen * each.tickets for each in taken)
    fee_fen = 0
    if new.distributor_id is not None:
        fee_fen = fees.fee_for(connection, "CHARGE", new.distributor_id, sold.id, price_fen, now_ms)
    number = _number(now_ms, centre.settings.zone)
    connection.execute(
        order.insert().values(
            id=order_id,
            number=number,
            kind="PASS" if sold.kind == "PASS" else "TICKET",
            product_id=sold.id,
            product_version=sold.version,
            invest_basis=sold.invest_basis,
            distributor_id=new.distributor_id,
            payment_group=order_id,
            state="PENDING_PAYMENT",
            pay_deadline_ms=now_ms + sold.pay_deadline_min * MINUTE_MS,
            count=new.count,
            list_fen=price_fen,
            discount_fen=0,
            dist_price_fen=price_fen,
            charge_fee_fen=fee_fen,
            paid_fen=0,
            channel=new.channel,
            placed_at_ms=now_ms,
            **_buyer(centre, order_id, new.buyer_phone),
        )
    )
    if sold.kind == "PASS" and not _take_person(centre, connection, sold.id, order_id, new.holders[0]):
        return AlreadyHeld(new.holders[0].name)
    _lay_out_tickets(centre, connection, order_id, number, sold, taken, new.holders)
    history.add(connection, order_id, "placed", "PENDING_PAYMENT", now_ms, actor)
    return Placed(order_id, number, price_fen + fee_fen)


def _flaw(new: NewOrder, sold: sa.Row[Any]) -> str | None:
    if sold.sale != "ON_SALE":
        return "this product is not on sale"
    if not 1 <= new.count <= MAX_TICKETS:
        return f"an order has 1 to {MAX_TICKETS} tickets, not {new.count}"
    if new.holders and len(new.holders) != new.count:
        return f"{new.count} tickets need {new.count} holders, not {len(new.holders)}"
    if sold.holder_required and not new.holders:
        return "this product needs its holders' names"
    if sold.kind == "PASS":
        if new.count != 1 or not new.holders:
            return "an annual pass is ordered alone, for one holder"
        if new.holders[0].id_number is None or new.holders[0].phone is None:
            return "an annual pass needs its holder's ID number and phone"
    return next((flaw for who in new.holders if (flaw := who.flaw()) is not None), None)


def _take_person(centre: Centre, connection: Connection, product_id: UUID, order_id: UUID, who: Holder) -> bool:
    """Put the person's name down for the product; the primary key lets one order through. An ended pass gives way."""
    assert who.id_number is not None
    index = person_index(centre.secrets, who.id_number)
    connection.execute(
        person_product.delete().where(
            person_product.c.product_id == product_id,
            person_product.c.person_index == index,
            person_product.c.until_ms <= centre.now_ms(),
        )
    )
    row = {"product_id": product_id, "person_index": index, "order_id": order_id}
    return insert_new(person_product, ["product_id", "person_index"], [row], connection) == 1


def _buyer(centre: Centre, order_id: UUID, phone: str | None) -> dict[str, Any]:
    if phone is None:
        return {}
    return {
        "buyer_phone_sealed": seal(centre.secrets, "order.buyer_phone", order_id.bytes, phone),
        "buyer_phone_index": blind_index(centre.secrets, "phone", phone),
        "buyer_phone_masked": mask_phone(phone),
    }


def _lay_out_tickets(
    centre: Centre,
    connection: Connection,
    order_id: UUID,
    number: str,
    sold: sa.Row[Any],
    taken: list[Taken],
    holders: tuple[Holder, ...],
) -> None:
    """One ticket each, one item per ticket and venue that is owed something; prices, shares and fees frozen."""
    now_ms = centre.now_ms()
    prices = products.venue_prices(connection, sold.id)
    owed = {venue_id: price_fen for venue_id, price_fen in prices.items() if price_fen}
    payout_fees = {
        venue_id: fees.fee_for(connection, "PAYOUT", venue_id, sold.id, price_fen, now_ms)
        for venue_id, price_fen in owed.items()
    }
    tickets: list[dict[str, Any]] = []
    items: list[dict[str, Any]] = []
    for stock_id, price_fen in ((each.stock_id, each.price_fen) for each in taken for _ in range(each.tickets)):
        seq = len(tickets) + 1
        ticket_id = new_id(now_ms)
        row = {"id": ticket_id, "number": f"{number}{seq:03d}", "order_id": order_id, "seq": seq}
        tickets.append({**row, "stock_id": stock_id, "dist_price_fen": price_fen})
        shares = shares_of(price_fen, list(owed.values())) if owed else []
        items += [
            {
                "id": new_id(now_ms),
                "ticket_id": ticket_id,
                "venue_id": venue_id,
                "venue_price_fen": owed[venue_id],
                "share_fen": share_fen,
                "payout_fee_fen": payout_fees[venue_id],
                "on_expiry": sold.on_expiry,
                "refundable": sold.refundable,
            }
            for venue_id, share_fen in zip(owed, shares, strict=True)
        ]
    connection.execute(ticket.insert(), tickets)
    if items:
        connection.execute(order_item.insert(), items)
    if holders:
        rows = [holder_row(centre.secrets, row["id"], who) for row, who in zip(tickets, holders, strict=True)]
        connection.execute(holder.insert(), rows)


def _number(now_ms: int, zone: str) -> str:
    """订单号: the local date and ten digits of chance."""
    day = datetime.fromtimestamp(now_ms / 1000, ZoneInfo(zone)).strftime("%y%m%d")
    return f"{day}{chance.randbelow(10**10):010d}"
