"""`sync-server refund …`: operators give money back, with a reason."""

from __future__ import annotations

import json
from typing import Any

import click
import sqlalchemy as sa

from sync_server.arguments import FEN, U16
from sync_server.audit.log import record
from sync_server.centre import Centre, Opener
from sync_server.orders.tables import order
from sync_server.parties.tables import LATE_LIABILITIES
from sync_server.people.asking import by_operator, person_of
from sync_server.people.identifying import Person
from sync_server.people.permissions import Permission, need
from sync_server.settlement import charging_back, clawing_back, pass_refunds, refunding, unconfirmed, unissued
from sync_server.settlement.debt_commands import debt
from sync_server.settlement.overdue import overdue
from sync_server.settlement.payout_commands import payout
from sync_server.settlement.visit_commands import visits


@click.group()
def refund() -> None:
    """Refunds of tickets, of annual passes, and of orders that could not be issued."""


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


@refund.command(name="order")
@click.argument("number")
@click.option("--reason", required=True, help="for the order's history and the log of what operators did")
@by_operator
@click.pass_obj
def order_(opener: Opener, /, number: str, reason: str, **who: Any) -> None:
    """Give a paid ticket order that could not be issued for an hour back, whole, with its charge fee."""
    centre = opener()
    person = _allowed(centre, who)
    with centre.write() as connection:
        amount_fen = unissued.give_back(connection, number, reason, centre.now_ms(), person.actor)
        detail = {"reason": reason, "amount_fen": amount_fen}
        record(connection, centre.now_ms(), person.actor, "order.refund", f"order:{number}", detail)
    click.echo(json.dumps({"order": number, "state": "ISSUE_FAILED", "amount_fen": amount_fen}))


@refund.command(name="pass")
@click.argument("number", metavar="ORDER")
@click.option("--reason", required=True, help="for the order's history and the log of what operators did")
@click.option("--amount-fen", type=FEN, help="less than the whole price")
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
@click.argument("venue", type=U16)
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


@refund.command()
@click.argument("number", metavar="[TICKET|ORDER]", required=False)
@click.pass_obj
def waiting(opener: Opener, number: str | None) -> None:
    """Refunds that wait for gates to hear of them; or of a ticket or order, which gates have not. A JSON line each."""
    centre = opener()
    with centre.read() as connection:
        now_ms = centre.now_ms()
        if number is None:
            told = [hold._asdict() for hold in unconfirmed.open_holds(connection, now_ms)]
        else:
            told = [one._asdict() for one in unconfirmed.told_of(connection, number, now_ms)]
    for line in told:
        click.echo(json.dumps(line, ensure_ascii=False))


@refund.command()
@click.pass_obj
def late(opener: Opener) -> None:
    """How often entries came to light after a refund, by distributor, and who bears them. A JSON line each."""
    with opener().read() as connection:
        for row in charging_back.late_rates(connection):
            told = {**row._asdict(), "late_per_thousand": row.late_per_thousand}
            click.echo(json.dumps(told, ensure_ascii=False))


@refund.command()
@click.argument("organisation_number", metavar="DISTRIBUTOR")
@click.argument("who_bears", metavar="WHO", type=click.Choice(LATE_LIABILITIES))
@click.option("--reason", required=True, help="for the log of what operators did")
@by_operator
@click.pass_obj
def liability(opener: Opener, /, organisation_number: str, who_bears: str, reason: str, **who: Any) -> None:
    """Who bears entries that come after a refund: PLATFORM, DISTRIBUTOR, or VENUE, which is then not paid for them."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        now_ms = centre.now_ms()
        charging_back.set_late_liability(connection, person, organisation_number, who_bears, reason, now_ms)
    click.echo(json.dumps({"distributor": organisation_number, "late_liability": who_bears}))


@click.command(name="overdue")
@click.pass_obj
def overdue_(opener: Opener) -> None:
    """Payouts, refunds, fund moves and debts that are not through in time, the oldest first. A JSON line each."""
    centre = opener()
    now_ms = centre.now_ms()
    with centre.read() as connection:
        for row in overdue(connection, now_ms, centre.settings.transfer_late_after_h):
            told = {**row._asdict(), "id": str(row.id), "hours": row.hours(now_ms)}
            click.echo(json.dumps(told, ensure_ascii=False))


def _allowed(centre: Centre, who: dict[str, Any]) -> Person:
    person = person_of(centre, who)
    need(person, Permission.ORDERS_REFUND)
    return person


COMMANDS = (refund, payout, visits, debt, overdue_)
