"""`sync-server export redemptions | ledger | statements`: the books for other programs, as JSON lines or beancount."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import click
import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.centre import Opener
from sync_server.ledger.beancount import beancount_lines
from sync_server.ledger.tables import ledger_account, ledger_txn, posting
from sync_server.parties.tables import party, venue
from sync_server.payments.tables import external_transfer
from sync_server.redemptions.tables import redemption
from sync_server.settlement.lines import all_lines
from sync_server.settlement.tables import payout

ROWS_AT_ONCE = 1_000


def redemptions_query() -> sa.Select[Any]:
    """Every entry that the centre counts, with its outcome."""
    return (
        sa.select(
            redemption.c.id,
            redemption.c.outcome,
            redemption.c.item_id,
            redemption.c.pass_id,
            venue.c.number.label("venue"),
            redemption.c.device_id,
            redemption.c.occurred_at_ms,
            redemption.c.recorded_at_ms,
        )
        .join(venue, venue.c.id == redemption.c.venue_id)
        .order_by(redemption.c.recorded_at_ms, redemption.c.id)
    )


def ledger_query() -> sa.Select[Any]:
    """Every posting, in the order in which the book was written."""
    return (
        sa.select(
            ledger_txn.c.txn_key,
            posting.c.leg,
            posting.c.layer,
            ledger_account.c.name.label("account"),
            posting.c.amount_fen,
            ledger_txn.c.effective_at_ms,
            ledger_txn.c.recorded_at_ms,
            ledger_txn.c.actor,
        )
        .select_from(posting.join(ledger_txn).join(ledger_account))
        .order_by(ledger_txn.c.id, posting.c.leg)
    )


def statements_query() -> sa.Select[Any]:
    """Every line of every payout: what it is for, price, fee, net, payout, provider reference."""
    line = all_lines()
    return (
        sa.select(
            venue.c.number.label("venue"),
            party.c.name_zh.label("venue_name"),
            payout.c.number.label("payout"),
            payout.c.state,
            line.c.kind,
            line.c.redemption_id,
            line.c.item_id,
            line.c.gross_fen,
            line.c.fee_fen,
            line.c.net_fen,
            external_transfer.c.provider_ref,
            payout.c.created_at_ms,
            payout.c.paid_at_ms,
        )
        .select_from(
            line.join(payout, payout.c.id == line.c.payout_id)
            .join(venue, venue.c.id == payout.c.venue_id)
            .join(party, party.c.id == venue.c.id)
            .outerjoin(external_transfer, external_transfer.c.id == payout.c.transfer_id)
        )
        .order_by(payout.c.created_at_ms, payout.c.id, line.c.redemption_id, line.c.item_id)
    )


EXPORTS = {"redemptions": redemptions_query, "ledger": ledger_query, "statements": statements_query}


def lines_of(connection: Connection, query: sa.Select[Any]) -> Iterator[bytes]:
    """One JSON object per row; ids and other bytes in hex."""
    rows = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(query)
    for row in rows.mappings():
        yield msgspec.json.encode({name: _plain(value) for name, value in row.items()})


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    return value.hex if isinstance(value, UUID) else value


@click.command()
@click.argument("what", type=click.Choice(list(EXPORTS)))
@click.option("--format", "format_", type=click.Choice(["jsonl", "beancount"]), default="jsonl", show_default=True)
@click.pass_obj
def export(opener: Opener, what: str, format_: str) -> None:
    """Write a book to stdout: one JSON object per line, or the ledger as beancount reads it."""
    centre = opener()
    if format_ == "beancount" and what != "ledger":
        raise click.UsageError(f"only the ledger is written as beancount, not {what}")
    with centre.read() as connection:
        if format_ == "beancount":
            for text in beancount_lines(connection, ZoneInfo(centre.settings.zone)):
                click.echo(text)
            return
        for line in lines_of(connection, EXPORTS[what]()):
            click.echo(line)


COMMANDS = (export,)
