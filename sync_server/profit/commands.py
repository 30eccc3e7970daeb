"""`sync-server profit report | export | share | allocate | pay`: what combos earned, and who gets a share of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import click
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import arguments
from sync_server.catalog.products import find_product
from sync_server.centre import Opener
from sync_server.errors import NotFoundError
from sync_server.parties.tables import party
from sync_server.payments.voucher_options import by_voucher, voucher_of
from sync_server.people.asking import by_operator, person_of
from sync_server.profit import sharing
from sync_server.profit.report import PARTS, month_of, profit_of, total_of
from sync_server.profit.sheet import profit_sheet
from sync_server.profit.tables import PAID_FROM
from sync_server.sheets.sheet import write_file
from sync_server.statements.sheet import writers

MONTH = click.argument("month", metavar="2026-11", type=arguments.MONTH)
PARTNER = click.argument("partner", metavar="PARTNER")


@click.group()
def profit() -> None:
    """Profit of combo tickets, by the month, and the partners' shares of it."""


@profit.command()
@MONTH
@click.option("--product", type=arguments.U16, help="only this product's number")
@click.pass_obj
def report(opener: Opener, month: str, product: int | None) -> None:
    """What each combo order earned in a month, in fen: one JSON object a line, the totals last."""
    centre = opener()
    with centre.read() as connection:
        if product is not None:
            find_product(connection, product)
        rows = profit_of(connection, month_of(month, centre.settings.zone))
    rows = [row for row in rows if product in (None, row.product_number)]
    for row in rows:
        parts = {name: getattr(row, name) for name in (*PARTS.values(), "profit_fen")}
        named = {"product": row.product_number, "order": row.order_number, "dist_price_fen": row.dist_price_fen}
        click.echo(json.dumps(named | parts))
    click.echo(json.dumps({"month": month, "orders": len(rows), **total_of(rows)}))


@profit.command()
@MONTH
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_obj
def export(opener: Opener, month: str, file: Path) -> None:
    """Write the report of a month to FILE, as .xlsx, .csv or .pdf."""
    centre = opener()
    write = writers(centre.settings.pdf_font_file).get(file.suffix.removeprefix(".").lower())
    if write is None:
        raise click.UsageError("let the file's name end in .xlsx, .csv or .pdf")
    named = month_of(month, centre.settings.zone)
    with centre.read() as connection:
        rows = profit_of(connection, named)
    write_file(file, write(profit_sheet(named, rows, ZoneInfo(centre.settings.zone), centre.now_ms())))
    click.echo(json.dumps({"month": month, "file": str(file), "orders": len(rows)}))


@profit.command()
@click.argument("product", type=arguments.U16)
@PARTNER
@click.option("--bps", type=click.IntRange(0, 10_000), required=True, help="basis points of the profit; 0 ends it")
@click.option("--reason", required=True, help="the agreement, for the log of what operators did")
@by_operator
@click.pass_obj
def share(opener: Opener, /, product: int, partner: str, bps: int, reason: str, **who: Any) -> None:
    """Note the share of a PARTNER (its organisation number) in the profit of a combo."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        product_id, partner_id = find_product(connection, product).id, _partner(connection, partner)
        sharing.agree(connection, person, product_id, partner_id, bps, reason.strip(), centre.now_ms())
    click.echo(json.dumps({"product": product, "partner": partner, "share_bps": bps}))


@profit.command()
@MONTH
@by_operator
@click.pass_obj
def allocate(opener: Opener, /, month: str, **who: Any) -> None:
    """Share out the profit of a month that is over."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        shares = sharing.allocate(connection, person, month_of(month, centre.settings.zone), centre.now_ms())
        named = {row.id: row.org_number for row in connection.execute(sa.select(party.c.id, party.c.org_number))}
    click.echo(json.dumps({"month": month, "shares": {named[one.partner_id]: one.amount_fen for one in shares}}))


@profit.command()
@MONTH
@PARTNER
@click.option("--from", "paid_from", type=click.Choice(PAID_FROM), default="1030", show_default=True, help="account")
@by_voucher
@click.option("--reason", required=True, help="what the other person and the log of operators are told")
@by_operator
@click.pass_obj
def pay(opener: Opener, /, month: str, partner: str, paid_from: str, reason: str, **options: Any) -> None:
    """Say that a partner's share was paid. Another person confirms."""
    centre = opener()
    paid = voucher_of(options)
    person = person_of(centre, options)
    with centre.write() as connection:
        whose = _partner(connection, partner)
        asked = sharing.ask_to_pay(connection, person, month, whose, paid_from, paid, reason, centre.now_ms())
    click.echo(json.dumps({"request": str(asked), "state": "requested", "month": month, "partner": partner}))


def _partner(connection: Connection, org_number: str) -> UUID:
    mine = sa.and_(party.c.org_number == org_number, party.c.kind == "PARTNER")
    found: UUID | None = connection.scalar(sa.select(party.c.id).where(mine))
    if found is None:
        raise NotFoundError(f"no partner has the organisation number {org_number!r}")
    return found


COMMANDS = (profit,)
