"""`sync-server refund …`: operators give money back, with a reason."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import click
import sqlalchemy as sa

from sync_server.audit.log import record
from sync_server.centre import Centre, Opener
from sync_server.errors import NotAllowedError
from sync_server.orders.tables import order
from sync_server.people.asking import by_operator, person_of
from sync_server.people.identifying import Person
from sync_server.people.permissions import Permission
from sync_server.settlement import clawing_back, pass_refunds, refunding
from sync_server.settlement.payout_commands import payout


@click.group()
def refund() -> None:
    """Refunds of tickets and of annual passes."""


@refund.command()
@click.argument("number")
@click.option("--reason", required=True, help="for the order's history and the log of what operators did")
@by_operator
@click.pass_obj
def ticket(opener: Opener, /, number: str, reason: str, **who: Any) -> None:
    """Ask the money of the ticket NUMBER back, for every venue it was not used at."""
    centre = opener()
    person = _allowed(centre, who)
    with centre.write() as connection:
        items = refunding.ask(connection, number, reason, centre.now_ms(), person.actor)
        detail = {"reason": reason, "items": len(items)}
        record(connection, centre.now_ms(), person.actor, "ticket.refund", f"ticket:{number}", detail)
    click.echo(json.dumps({"ticket": number, "state": "held", "items": [item.hex for item in items]}))


@refund.command(name="pass")
@click.argument("number", metavar="ORDER")
@click.option("--reason", required=True, help="for the order's history and the log of what operators did")
@click.option("--amount-fen", type=click.IntRange(min=1), help="less than the whole price")
@by_operator
@click.pass_obj
def pass_(opener: Opener, /, number: str, reason: str, amount_fen: int | None, **who: Any) -> None:
    """Revoke the annual pass of an order and give its price back. Prints how often it was used until now."""
    centre = opener()
    person = _allowed(centre, who)
    with centre.write() as connection:
        done = pass_refunds.refund_pass(connection, number, reason, centre.now_ms(), person.actor, amount_fen)
        detail = {"reason": reason, **done._asdict()}
        record(connection, centre.now_ms(), person.actor, "pass.refund", f"order:{number}", detail)
        state = connection.scalar(sa.select(order.c.state).where(order.c.number == number))
    click.echo(json.dumps({"order": number, "state": state, **done._asdict()}))


@refund.command()
@click.argument("number", metavar="TICKET")
@click.argument("venue", type=int)
@click.option("--reason", required=True, help="what the other person and the log of operators are told")
@by_operator
@click.pass_obj
def visit(opener: Opener, /, number: str, venue: int, reason: str, **who: Any) -> None:
    """Ask that the visit with TICKET to VENUE, which was paid, is refunded at the venue's cost. Another confirms."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        request_id = clawing_back.ask(connection, person, number, venue, reason, centre.now_ms())
    click.echo(json.dumps({"request": str(request_id), "state": "requested", "ticket": number, "venue": venue}))


@refund.command(name="confirm-visit")
@click.argument("request_id", metavar="REQUEST", type=click.UUID)
@by_operator
@click.pass_obj
def confirm_visit(opener: Opener, /, request_id: UUID, **who: Any) -> None:
    """Confirm what another person asked for: the buyer's money goes back, the venue's next payouts are less."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        item_id = clawing_back.confirm(connection, person, request_id, centre.now_ms())
    click.echo(json.dumps({"request": str(request_id), "state": "confirmed", "item": item_id.hex}))


def _allowed(centre: Centre, who: dict[str, Any]) -> Person:
    person = person_of(centre, who)
    if not person.may(Permission.ORDERS_REFUND):
        raise NotAllowedError(f"a refund needs the permission {Permission.ORDERS_REFUND}, which you do not have")
    return person


COMMANDS = (refund, payout)
