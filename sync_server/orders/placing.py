"""Placing an order: stock reserved, prices and fees frozen, tickets and items laid out, in one transaction."""

from __future__ import annotations

import secrets as chance
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.catalog import fees, products
from sync_server.catalog.channels import takes_orders
from sync_server.catalog.discounts import Price, price_for
from sync_server.catalog.stock import OutOfStock, Taken, reserve
from sync_server.catalog.terms import may_buy, terms_of
from sync_server.centre import Centre
from sync_server.db import new_id
from sync_server.id_numbers import person_index
from sync_server.money import shares_of
from sync_server.notices.phones import keep_phone, normal_phone
from sync_server.orders import history, persons
from sync_server.orders.holders import Holder, holder_row
from sync_server.orders.refusals import AlreadyHeld, NotEligible, PriceChanged, Refusal, Unfit
from sync_server.orders.tables import holder, order, order_item, ticket
from sync_server.parties.parties import find_party

MAX_TICKETS = 200  # per order
MAX_TOGETHER = 6
"""Travellers of one payment."""
MAX_SUB_CHANNEL = 32
MINUTE_MS = 60_000


@dataclass(frozen=True)
class NewOrder:
    """What is asked for. Without a distributor a visitor pays at the cashier. Holders: one per ticket, or none.

    `expected_fen` is what the buyer was told that all of it costs; None: whatever it costs.
    """

    product_number: int
    count: int
    channel: str
    distributor_id: UUID | None = None
    holders: tuple[Holder, ...] = ()
    buyer_phone: str | None = None
    sub_channel: str | None = None
    expected_fen: int | None = None


@dataclass(frozen=True)
class Placed:
    """An order as it now stands, waiting for its payment; `amount_fen` includes the charge fee."""

    order_id: UUID
    number: str
    amount_fen: int


def place(centre: Centre, connection: Connection, new: NewOrder, actor: str) -> Placed | Refusal:
    """Place one order, of tickets or for one traveller, in the caller's transaction.

    Anything but Placed left nothing behind.
    """
    placed = place_together(centre, connection, new, actor)
    if isinstance(placed, tuple):
        (only,) = placed
        return only
    return placed


def place_together(centre: Centre, connection: Connection, new: NewOrder, actor: str) -> tuple[Placed, ...] | Refusal:
    """Place what is asked for, all or nothing: tickets as one order, annual passes as one order for each traveller.

    Orders placed together are paid together: the first one's id is the `payment_group` of all.
    """
    sold = products.find_product(connection, new.product_number)
    if (refusal := _flaw(centre, connection, new, sold)) is not None:
        return refusal
    with connection.begin_nested() as savepoint:
        outcome = _place_all(centre, connection, new, sold, actor)
        if not isinstance(outcome, tuple):
            savepoint.rollback()
    return outcome


def _place_all(
    centre: Centre, connection: Connection, new: NewOrder, sold: sa.Row[Any], actor: str
) -> tuple[Placed, ...] | Refusal:
    taken = reserve(connection, sold.id, new.count)
    if isinstance(taken, OutOfStock):
        return taken
    one_each = [each._replace(tickets=1) for each in taken for _ in range(each.tickets)]
    parts = [(new, one_each)]
    if sold.kind == "PASS":
        parts = [(replace(new, count=1, holders=(who,)), [one]) for who, one in zip(new.holders, one_each, strict=True)]
    placed: list[Placed] = []
    for part, tickets in parts:
        outcome = _place(centre, connection, part, sold, tickets, placed[0].order_id if placed else None, actor)
        if not isinstance(outcome, Placed):
            return outcome
        placed.append(outcome)
    amount_fen = sum(each.amount_fen for each in placed)
    if new.expected_fen not in {None, amount_fen}:
        return PriceChanged(amount_fen)
    return tuple(placed)


def _place(
    centre: Centre,
    connection: Connection,
    new: NewOrder,
    sold: sa.Row[Any],
    taken: list[Taken],
    group: UUID | None,
    actor: str,
) -> Placed | AlreadyHeld:
    now_ms, order_id = centre.now_ms(), centre.new_id()
    list_fen = sum(each.price_fen for each in taken)
    price = Price(list_fen, None)
    if sold.kind == "PASS":
        price = _pass_price(centre, connection, sold, list_fen, new.holders[0])
        taken = [taken[0]._replace(price_fen=price.price_fen)]
    fee_fen = 0
    if new.distributor_id is not None:
        fee_fen = fees.fee_for(connection, "CHARGE", new.distributor_id, sold.id, price.price_fen, now_ms)
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
            payment_group=group or order_id,
            state="PENDING_PAYMENT",
            hold_deadline_h=sold.hold_deadline_h,
            pay_deadline_ms=now_ms + sold.pay_deadline_min * MINUTE_MS,
            count=new.count,
            list_fen=list_fen,
            discount_fen=list_fen - price.price_fen,
            discount_reason=price.reason,
            dist_price_fen=price.price_fen,
            charge_fee_fen=fee_fen,
            paid_fen=0,
            channel=new.channel,
            sub_channel=new.sub_channel,
            placed_at_ms=now_ms,
            **_buyer(centre, order_id, new.buyer_phone),
        )
    )
    if sold.kind == "PASS" and not _take_person(centre, connection, sold, order_id, new.holders[0]):
        return AlreadyHeld(new.holders[0].name)
    fee_back_fen = fee_fen if sold.refund_charge_fee else 0
    _lay_out_tickets(centre, connection, order_id, number, sold, taken, new.holders, fee_back_fen)
    history.add(connection, order_id, "placed", "PENDING_PAYMENT", now_ms, actor)
    return Placed(order_id, number, price.price_fen + fee_fen)


def _flaw(centre: Centre, connection: Connection, new: NewOrder, sold: sa.Row[Any]) -> Unfit | NotEligible | None:
    if sold.sale != "ON_SALE":
        return Unfit("this product is not on sale")
    if new.distributor_id is not None and find_party(connection, new.distributor_id).kind != "DISTRIBUTOR":
        return Unfit("whoever orders for others is a distributor: this party is none, and pays for no orders")
    if not takes_orders(connection, new.channel):
        return Unfit(f"no orders are taken through the channel {new.channel!r}")
    if new.sub_channel is not None and not 0 < len(new.sub_channel) <= MAX_SUB_CHANNEL:
        return Unfit(f"a sub-channel has 1 to {MAX_SUB_CHANNEL} characters")
    if not 1 <= new.count <= MAX_TICKETS:
        return Unfit(f"an order has 1 to {MAX_TICKETS} tickets, not {new.count}")
    if new.holders and len(new.holders) != new.count:
        return Unfit(f"{new.count} tickets need {new.count} holders, not {len(new.holders)}")
    if sold.holder_required and not new.holders and (sold.kind == "PASS" or new.distributor_id is None):
        return Unfit("this product needs its holders' names")  # a distributor names them later (issuance.binding)
    if sold.kind == "PASS" and (flaw := _pass_flaw(new)) is not None:
        return Unfit(flaw)
    if (flaw := next((flaw for who in new.holders if (flaw := who.flaw()) is not None), None)) is not None:
        return Unfit(flaw)
    if new.buyer_phone is not None:
        try:
            normal_phone(new.buyer_phone)
        except ValueError as error:
            return Unfit(f"the buyer's phone: {error}")
    if sold.kind == "PASS":
        terms = terms_of(sold)
        for who in new.holders:
            assert who.id_number is not None
            if not may_buy(connection, centre.secrets, terms, who.id_number):
                return NotEligible(who.name, terms.hotline)
    return None


def _pass_flaw(new: NewOrder) -> str | None:
    if new.distributor_id is not None and new.count > 1:
        return "a distributor orders annual passes one by one"
    if not new.holders or new.count > MAX_TOGETHER:
        return f"annual passes are ordered for 1 to {MAX_TOGETHER} travellers together"
    if any(who.id_number is None or who.phone is None for who in new.holders):
        return "an annual pass needs its holder's ID number and phone"
    return None


def _pass_price(centre: Centre, connection: Connection, sold: sa.Row[Any], list_fen: int, who: Holder) -> Price:
    """What this traveller pays today."""
    assert who.id_number is not None
    now_ms = centre.now_ms()
    today = datetime.fromtimestamp(now_ms / 1000, ZoneInfo(centre.settings.zone)).date()
    return price_for(connection, centre.secrets, sold.id, list_fen, who.id_number, now_ms, today)


def _take_person(centre: Centre, connection: Connection, sold: sa.Row[Any], order_id: UUID, who: Holder) -> bool:
    """Put the traveller's name down; of a renewal the order keeps when it begins."""
    assert who.id_number is not None
    person = person_index(centre.secrets, who.id_number)
    place = persons.take(connection, sold.id, person, order_id, sold.renewal_days, centre.now_ms())
    if place is None:
        return False
    connection.execute(order.update().where(order.c.id == order_id).values(starts_at_ms=place.starts_at_ms))
    return True


def _buyer(centre: Centre, order_id: UUID, phone: str | None) -> dict[str, Any]:
    if phone is None:
        return {}
    kept = keep_phone(centre.secrets, "order.buyer_phone", order_id, normal_phone(phone))
    return {
        "buyer_phone_sealed": kept.sealed,
        "buyer_phone_index": kept.blind,
        "buyer_phone_masked": kept.masked,
    }


def _lay_out_tickets(
    centre: Centre,
    connection: Connection,
    order_id: UUID,
    number: str,
    sold: sa.Row[Any],
    taken: list[Taken],
    holders: tuple[Holder, ...],
    fee_back_fen: int,
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
    for stock_id, price_fen, _ in taken:
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
        parts = shares_of(fee_back_fen, [item["share_fen"] for item in items])
        rows = [{**item, "fee_back_fen": part_fen} for item, part_fen in zip(items, parts, strict=True)]
        connection.execute(order_item.insert(), rows)
    if holders:
        rows = [holder_row(centre.secrets, row["id"], who) for row, who in zip(tickets, holders, strict=True)]
        connection.execute(holder.insert(), rows)


def _number(now_ms: int, zone: str) -> str:
    """订单号: the local date and ten digits of chance."""
    day = datetime.fromtimestamp(now_ms / 1000, ZoneInfo(zone)).strftime("%y%m%d")
    return f"{day}{chance.randbelow(10**10):010d}"
