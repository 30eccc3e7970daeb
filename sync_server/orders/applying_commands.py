"""`sync-server order apply | applications | run | refuse`: orders that wait for their distributor's top-up."""

from __future__ import annotations

import json
import sys
from typing import Any
from uuid import UUID

import click
import sqlalchemy as sa

from sync_server.audit.log import COMMAND_LINE
from sync_server.centre import Centre, Opener
from sync_server.errors import EXIT_CHECK_FAILED
from sync_server.orders import applying
from sync_server.orders.charging_now import charge_now
from sync_server.orders.paying import Deducted, Short
from sync_server.orders.states import UNPAID
from sync_server.orders.tables import order
from sync_server.payments.tables import external_transfer
from sync_server.people.asking import by_operator, person_of

REASON = click.option("--reason", required=True, help="for the order's history and the log of what operators did")


@click.command()
@click.argument("number")
@click.pass_obj
def apply(opener: Opener, number: str) -> None:
    """申请出票 for a held order, for its distributor: it goes on if the money is there, else it is queued."""
    centre = opener()
    with centre.write() as connection:
        done = applying.apply(connection, number, COMMAND_LINE, centre.now_ms())
    _tell(centre, number, done)


@click.command()
@click.pass_obj
def applications(opener: Opener) -> None:
    """The queue 人工出票申请, the oldest first, one JSON object a line."""
    with opener().read() as connection:
        for row in applying.queue(connection):
            click.echo(json.dumps(row._asdict(), ensure_ascii=False))


@click.command()
@click.argument("number")
@REASON
@by_operator
@click.pass_obj
def run(opener: Opener, /, number: str, reason: str, **who: Any) -> None:
    """Let a held order go on, applied for or not."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        done = applying.run(connection, number, person, reason, centre.now_ms())
    _tell(centre, number, done)


@click.command()
@click.argument("number")
@REASON
@by_operator
@click.pass_obj
def refuse(opener: Opener, /, number: str, reason: str, **who: Any) -> None:
    """Refuse what was applied for; the order waits on until its hold is over."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        applying.refuse(connection, number, person, reason, centre.now_ms())
    click.echo(json.dumps({"order": number, "application": "REFUSED"}))


def _tell(centre: Centre, number: str, done: UUID | Deducted | Short) -> None:
    """Exit code 1 where the money is not there, with what is lacking."""
    match done:
        case Short():
            click.echo(json.dumps({"order": number, "state": "held", "lacking_fen": done.lacking_fen}))
            click.echo(f"sync-server: {done.words}", err=True)
            sys.exit(EXIT_CHECK_FAILED)
        case Deducted():
            click.echo(json.dumps({"order": number, "state": "paid"}))
        case UUID():
            _tell_charge(centre, number, done)


def _tell_charge(centre: Centre, number: str, transfer_id: UUID) -> None:
    """What the provider answered: a charge that it refuses again holds the order again, and nobody else is asked."""
    charge_now(centre, transfer_id)
    with centre.read() as connection:
        row = connection.execute(sa.select(order).where(order.c.number == number)).one()
        reason = connection.scalar(sa.select(external_transfer.c.reason).where(external_transfer.c.id == transfer_id))
    told = {"order": number, "transfer": str(transfer_id)}
    if row.hold is not None:
        click.echo(json.dumps(told | {"state": "held"}))
        click.echo(f"sync-server: order {number} is held again: the charge was refused ({reason})", err=True)
        sys.exit(EXIT_CHECK_FAILED)
    state = "paid" if row.paid_at_ms is not None else "charging" if row.state in UNPAID else "closed"
    click.echo(json.dumps(told | {"state": state}))


COMMANDS = (apply, applications, run, refuse)
"""Of the group `order`."""
