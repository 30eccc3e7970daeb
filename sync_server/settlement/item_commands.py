"""`sync-server items`: what each venue of an order's tickets shows, in both lists' words, and the order's 退款状态."""

from __future__ import annotations

import json

import click
import sqlalchemy as sa

from sync_server.centre import Opener
from sync_server.errors import NotFoundError
from sync_server.orders.tables import order, ticket
from sync_server.parties.tables import party
from sync_server.settlement.item_states import (
    MARK_WORDS,
    MONEY_WORDS,
    USAGE_WORDS,
    first_list,
    refund_status,
    second_list,
)
from sync_server.settlement.item_status import statuses_of


@click.command()
@click.argument("number", metavar="ORDER")
@click.pass_obj
def items(opener: Opener, number: str) -> None:
    """Each ticket's venues, a JSON line each, and a last one of the order. An annual pass has none."""
    with opener().read() as connection:
        row = connection.execute(sa.select(order.c.id, order.c.state).where(order.c.number == number)).one_or_none()
        if row is None:
            raise NotFoundError(f"no order has the number {number}")
        statuses = statuses_of(connection, row.id)
        mine = sa.select(ticket.c.id, ticket.c.number).where(ticket.c.order_id == row.id)
        tickets = {one.id: one.number for one in connection.execute(mine)}
        named = sa.select(party.c.id, party.c.org_number).where(party.c.id.in_({one.venue_id for one in statuses}))
        venues = {one.id: one.org_number for one in connection.execute(named)}
    for one in statuses:
        line = {
            "ticket": tickets[one.ticket_id],
            "venue": venues[one.venue_id],
            "state": one.state,
            "state_zh": [USAGE_WORDS[one.usage], MARK_WORDS[one.mark] if one.mark else MONEY_WORDS[one.money]],
            "first_list_zh": first_list(one.usage, one.money),
            "second_list_zh": second_list(one.usage, one.money),
            "used_at_ms": one.used_at_ms,
            "reason": one.reason,
        }
        click.echo(json.dumps(line, ensure_ascii=False))
    told = {"order": number, "state": row.state, "refund_status_zh": refund_status(one.state for one in statuses)}
    click.echo(json.dumps(told, ensure_ascii=False))


COMMANDS = (items,)
