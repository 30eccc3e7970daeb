"""`sync-server payout list | mode | again`: what the venues are paid, how often, and again where it was given up."""

from __future__ import annotations

import json
from typing import Any

import click
import sqlalchemy as sa

from sync_server.arguments import U16
from sync_server.centre import Opener
from sync_server.parties.parties import venue_by_number
from sync_server.parties.tables import PAYOUT_MODES, party, venue
from sync_server.payments.tables import external_transfer
from sync_server.people.asking import by_operator, person_of
from sync_server.settlement import paying_again, payout_modes
from sync_server.settlement.payout_states import PAYOUT
from sync_server.settlement.tables import payout as table

MAX_LISTED = 1_000


@click.group()
def payout() -> None:
    """Payouts to venues 打款."""


@payout.command(name="list")
@click.option("--state", type=click.Choice(list(PAYOUT.words)), help="only those in this state")
@click.option("--venue", "venue_number", type=U16, help="only this venue's")
@click.pass_obj
def list_(opener: Opener, state: str | None, venue_number: int | None) -> None:
    """The newest payouts, one JSON object a line."""
    query = (
        sa.select(
            table,
            venue.c.number.label("venue"),
            party.c.org_number,
            external_transfer.c.reason.label("transfer_reason"),
        )
        .join(venue, venue.c.id == table.c.venue_id)
        .join(party, party.c.id == table.c.venue_id)
        .outerjoin(external_transfer, external_transfer.c.id == table.c.transfer_id)
        .order_by(table.c.created_at_ms.desc(), table.c.id.desc())
        .limit(MAX_LISTED)
    )
    if state is not None:
        query = query.where(table.c.state == state)
    with opener().read() as connection:
        if venue_number is not None:
            query = query.where(table.c.venue_id == venue_by_number(connection, venue_number))
        for row in connection.execute(query):
            line = {
                "number": row.number,
                "venue": row.venue,
                "party": row.org_number,
                "state": row.state,
                "state_zh": PAYOUT.words[row.state],
                "total_fen": row.total_fen,
                "transfer": None if row.transfer_id is None else str(row.transfer_id),
                "reason": row.reason or row.transfer_reason,
                "closes_at_ms": row.closes_at_ms,
                "sealed_at_ms": row.sealed_at_ms,
                "paid_at_ms": row.paid_at_ms,
            }
            click.echo(json.dumps(line, ensure_ascii=False))


@payout.command()
@click.argument("venue_number", metavar="VENUE", type=U16)
@click.argument("how_often", metavar="MODE", type=click.Choice(PAYOUT_MODES))
@click.option("--reason", required=True, help="for the log of what operators did")
@by_operator
@click.pass_obj
def mode(opener: Opener, /, venue_number: int, how_often: str, reason: str, **who: Any) -> None:
    """How often a venue is paid from now on: PER_REDEMPTION, DAILY or WEEKLY, by the venue's own days."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        payout_modes.set_payout_mode(connection, person, venue_number, how_often, reason, centre.now_ms())
    click.echo(json.dumps({"venue": venue_number, "payout_mode": how_often}))


@payout.command()
@click.argument("number")
@click.option("--reason", required=True, help="for the log of what operators did")
@by_operator
@click.pass_obj
def again(opener: Opener, /, number: str, reason: str, **who: Any) -> None:
    """Pay the payout NUMBER, which two persons gave up, by a new one to the account that its venue has now."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        new = paying_again.pay_again(connection, person, number, reason, centre.now_ms())
    click.echo(json.dumps({"payout": number, "state": "REPLACED", "new": new}))
