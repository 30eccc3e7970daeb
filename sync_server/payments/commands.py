"""`sync-server transfer list | resume | abandon | remit`: money on its way, and what people decide of it."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import click
import sqlalchemy as sa

from sync_server import outbox
from sync_server.centre import Opener
from sync_server.parties.parties import party_by_org_number
from sync_server.parties.tables import party
from sync_server.payments import abandoning, remitting, transfers
from sync_server.payments.states import TRANSFER
from sync_server.payments.tables import TRANSFER_STATES, external_transfer
from sync_server.payments.voucher_options import by_voucher, voucher_of
from sync_server.people.asking import by_operator, person_of

MAX_LISTED = 1_000


@click.group()
def transfer() -> None:
    """Transfers through the payment provider."""


@transfer.command(name="list")
@click.option("--state", type=click.Choice(TRANSFER_STATES), help="only those in this state")
@click.option("--party", "number", help="only those of this organisation (机构号)")
@click.pass_obj
def list_(opener: Opener, state: str | None, number: str | None) -> None:
    """The newest transfers, one JSON object a line; the title names the order, ticket or payout that each is for.

    `next_try_at_ms` is empty where nothing goes on by itself.
    """
    query = sa.select(external_transfer, party.c.org_number).outerjoin(
        party, party.c.id == external_transfer.c.party_id
    )
    if state is not None:
        query = query.where(external_transfer.c.state == state)
    with opener().read() as connection:
        if number is not None:
            query = query.where(external_transfer.c.party_id == party_by_org_number(connection, number).id)
        rows = connection.execute(query.order_by(external_transfer.c.created_at_ms.desc()).limit(MAX_LISTED)).all()
        next_tries = outbox.next_runs(connection, transfers.JOB, (row.id for row in rows))
        for row in rows:
            line = {
                "id": str(row.id),
                "kind": row.kind,
                "title": row.title,
                "party": row.org_number,
                "provider": row.provider,
                "amount_fen": row.amount_fen,
                "state": row.state,
                "state_zh": TRANSFER.words[row.state],
                "reason": row.reason,
                "attempts": row.attempts,
                "next_try_at_ms": next_tries.get(row.id),
                "provider_ref": row.provider_ref,
                "created_at_ms": row.created_at_ms,
                "changed_at_ms": row.changed_at_ms,
            }
            click.echo(json.dumps(line, ensure_ascii=False))


@transfer.command()
@click.argument("transfer_id", metavar="ID", type=click.UUID)
@click.option("--reason", required=True, help="for the log of what operators did")
@by_operator
@click.pass_obj
def resume(opener: Opener, /, transfer_id: UUID, reason: str, **who: Any) -> None:
    """Send a transfer again that lacked money or failed, after the account was topped up."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        transfers.resume(connection, person, transfer_id, reason, centre.now_ms())
    click.echo(json.dumps({"id": str(transfer_id), "state": "CREATED"}))


@transfer.command()
@click.argument("transfer_id", metavar="ID", type=click.UUID)
@click.option("--reason", required=True, help="what the other person and the log of operators are told")
@by_operator
@click.pass_obj
def abandon(opener: Opener, /, transfer_id: UUID, reason: str, **who: Any) -> None:
    """Ask that a payout that cannot be made is given up; not a refund: remit it. Another person confirms."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        request_id = abandoning.ask(connection, person, transfer_id, reason, centre.now_ms())
    click.echo(json.dumps({"request": str(request_id), "state": "requested", "transfer": str(transfer_id)}))


@transfer.command()
@click.argument("transfer_id", metavar="ID", type=click.UUID)
@by_voucher
@click.option("--beside", is_flag=True, help="the bank paid it although it was made otherwise: paid twice")
@click.option("--reason", required=True, help="what the other person and the log of operators are told")
@by_operator
@click.pass_obj
def remit(opener: Opener, /, transfer_id: UUID, beside: bool, reason: str, **options: Any) -> None:
    """手动汇款: record that a payout, refund or late entry was paid by bank. Another person confirms."""
    centre = opener()
    paid = voucher_of(options)
    person = person_of(centre, options)
    with centre.write() as connection:
        request_id = remitting.ask(connection, person, transfer_id, paid, reason, centre.now_ms(), beside=beside)
    click.echo(json.dumps({"request": str(request_id), "state": "requested", "transfer": str(transfer_id)}))


COMMANDS = (transfer,)
