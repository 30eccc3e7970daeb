"""`sync-server order place | show | cancel`: take, look at and cancel orders; `applying_commands` has what is held."""

from __future__ import annotations

import json
import sys
from typing import Any
from uuid import UUID

import click
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.arguments import FEN, U16
from sync_server.audit.log import COMMAND_LINE
from sync_server.catalog.channels import OTHER
from sync_server.catalog.stock import OutOfStock
from sync_server.centre import Opener
from sync_server.errors import EXIT_CHECK_FAILED, NotFoundError
from sync_server.idempotency import once
from sync_server.orders import applying_commands, closing, paying, placing
from sync_server.orders.charging_now import charge_now
from sync_server.orders.holders import read_holder
from sync_server.orders.refusals import AlreadyHeld, NotEligible, PriceChanged, Refusal, Unfit, words_zh
from sync_server.orders.states import WORDS
from sync_server.orders.tables import order, ticket
from sync_server.parties.parties import party_by_org_number
from sync_server.payments import transfers
from sync_server.payments.providers import no_money_moves, unreached
from sync_server.payments.tables import INCOMING, external_transfer
from sync_server.settings import Settings
from wire.credential import mask_name


@click.group(name="order")
def order_() -> None:
    """Orders."""


@order_.command()
@click.option("--product", type=U16, required=True, help="product number")
@click.option("--count", type=U16, default=1, show_default=True, help="tickets")
@click.option("--distributor", help="organisation number of the distributor that pays; none: a visitor at the cashier")
@click.option("--holder", "holders", multiple=True, metavar="NAME[,ID[,PHONE]]", help="one per ticket, in order")
@click.option("--phone", help="the buyer's phone")
@click.option("--channel", default=OTHER, show_default=True)
@click.option("--sub-channel", help="where in the channel")
@click.option("--expected-fen", type=FEN, help="what all of it is thought to cost; at another price nothing is ordered")
@click.option("--key", help="the same key again gives the same order instead of another")
@click.pass_obj
def place(
    opener: Opener,
    product: int,
    count: int,
    distributor: str | None,
    holders: tuple[str, ...],
    phone: str | None,
    channel: str,
    sub_channel: str | None,
    expected_fen: int | None,
    key: str | None,
) -> None:
    """Place an order and give the pay command. Prints it; a visitor's has the cashier's address in `pay_url`.

    Of annual passes every holder gets an order, all paid together: a line each.
    """
    centre = opener()
    people = tuple(read_holder(text) for text in holders)
    refused: Refusal | None = None
    with centre.write() as connection:
        payer = None if distributor is None else party_by_org_number(connection, distributor).id
        new = placing.NewOrder(product, count, channel, payer, people, phone, sub_channel, expected_fen)

        def act() -> dict[str, Any] | None:
            nonlocal refused
            placed = placing.place_together(centre, connection, new, COMMAND_LINE)
            if not isinstance(placed, tuple):
                refused = placed
                return None
            first = placed[0].order_id
            told = paying.pay(connection, first, COMMAND_LINE, centre.now_ms(), caller_sends=True)
            return {"order_id": str(first), "transfer_id": str(told) if isinstance(told, UUID) else None}

        body = [product, count, distributor, list(holders), phone, channel, sub_channel, expected_fen]
        made = act() if key is None else once(connection, COMMAND_LINE, key, body, centre.now_ms(), act)
    if made is None:
        click.echo(f"sync-server: the order was not taken: {_why(refused)}", err=True)
        sys.exit(EXIT_CHECK_FAILED)
    if made["transfer_id"] is not None:
        charge_now(centre, UUID(made["transfer_id"]))
    with centre.read() as connection:
        mine = sa.select(order.c.id).where(order.c.payment_group == UUID(made["order_id"])).order_by(order.c.number)
        for order_id in connection.scalars(mine).all():
            click.echo(json.dumps(describe(connection, centre.settings, order.c.id == order_id), ensure_ascii=False))


@order_.command()
@click.argument("number")
@click.pass_obj
def show(opener: Opener, number: str) -> None:
    """The order with this number, as it stands now."""
    centre = opener()
    with centre.read() as connection:
        click.echo(json.dumps(describe(connection, centre.settings, order.c.number == number), ensure_ascii=False))


@order_.command()
@click.argument("number")
@click.option("--reason", required=True, help="for the order's history")
@click.pass_obj
def cancel(opener: Opener, number: str, reason: str) -> None:
    """Cancel an order that is not paid, all its tickets together. It closes once no payment of it is under way."""
    centre = opener()
    with centre.write() as connection:
        closing.cancel(connection, number, reason, centre.now_ms(), COMMAND_LINE)
    with centre.read() as connection:
        click.echo(json.dumps(describe(connection, centre.settings, order.c.number == number), ensure_ascii=False))


def describe(connection: Connection, settings: Settings, which: sa.ColumnElement[bool]) -> dict[str, Any]:
    """One order with its tickets and payment, nothing personal in it."""
    row = connection.execute(sa.select(order).where(which)).one_or_none()
    if row is None:
        raise NotFoundError("no such order")
    tickets = connection.scalars(sa.select(ticket.c.number).where(ticket.c.order_id == row.id).order_by(ticket.c.seq))
    paying_by = connection.execute(
        sa.select(external_transfer).where(
            external_transfer.c.subject_id == row.payment_group, external_transfer.c.kind.in_(INCOMING)
        )
    ).one_or_none()
    return {
        "id": str(row.id),
        "number": row.number,
        "state": row.state,
        "state_zh": WORDS[row.kind, row.state],
        "hold": row.hold,
        "funding": row.funding,
        "lacking_fen": paying.lacking_fen(connection, row) if row.hold and row.funding == "PREPAID" else None,
        "paid_with": str(row.payment_group),
        "list_fen": row.list_fen,
        "discount_fen": row.discount_fen,
        "discount_reason": row.discount_reason,
        "amount_fen": row.dist_price_fen + row.charge_fee_fen,
        "paid_fen": row.paid_fen,
        "tickets": list(tickets),
        "payment": None if paying_by is None else paying_by.state,
        "payment_reason": None if paying_by is None else _payment_reason(settings, paying_by),
        "pay_url": None if paying_by is None else transfers.pay_url(connection, paying_by.id),
    }


def _payment_reason(settings: Settings, paying_by: sa.Row[Any]) -> str | None:
    """Why the payment stands where it does: one that no provider was asked for waits for ever without an error."""
    if paying_by.state == "CREATED" and paying_by.provider in unreached(settings):
        return no_money_moves([paying_by.provider])
    reason: str | None = paying_by.reason
    return reason


def _why(refused: Refusal | None) -> str:
    """A refusal as a sentence without anybody's full name, and as the visitor reads it."""
    match refused:
        case OutOfStock():
            said = f"{refused.left} are left in stock"
        case AlreadyHeld():
            said = f"{mask_name(refused.holder_name)} has this pass already, or an open order for it"
        case NotEligible():
            said = f"it is not sold to {mask_name(refused.holder_name)}"
        case PriceChanged():
            said = f"it costs {refused.now_fen} fen now: order it at that price"
        case Unfit():
            return refused.reason
        case None:
            return "the same key was refused before"
    return f"{said} ({words_zh(refused)})"


for command in applying_commands.COMMANDS:
    order_.add_command(command)

COMMANDS = (order_,)
