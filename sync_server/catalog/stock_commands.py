"""`sync-server stock list | add | raise | price`: how many of each product there are, and what annual passes cost."""

from __future__ import annotations

import json
from typing import Any

import click

from sync_server.arguments import FEN, U16
from sync_server.catalog import pass_stock
from sync_server.catalog.stock import MAX_STOCK
from sync_server.centre import Opener
from sync_server.people.asking import by_operator, person_of

NUMBER = click.argument("number", type=U16)
SEQ = click.argument("row", type=U16)
TOTAL = click.argument("total", type=click.IntRange(1, MAX_STOCK))


@click.group()
def stock() -> None:
    """Stock 库存: the rows of a product sell one after the other, each at its price."""


@stock.command(name="list")
@click.option("--product", "number", type=U16, help="one product's alone")
@click.pass_obj
def list_(opener: Opener, number: int | None) -> None:
    """One JSON line per row: 总库存 total, 销量 sold, reserved by orders not yet paid, 剩余 left."""
    with opener().read() as connection:
        for row in pass_stock.rows_of(connection, number):
            click.echo(json.dumps(row._asdict()))


@stock.command()
@NUMBER
@TOTAL
@click.option("--price", "price_fen", type=FEN, help="of one, in fen; else what the product was drafted for")
@by_operator
@click.pass_obj
def add(opener: Opener, /, number: int, total: int, price_fen: int | None, **who: Any) -> None:
    """Put a further row of an annual pass on sale, behind those it has."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        row, cost_fen = pass_stock.add_row(connection, person, number, total, centre.now_ms(), price_fen=price_fen)
    click.echo(json.dumps({"product": number, "row": row, "price_fen": cost_fen, "total": total}))


@stock.command(name="raise")
@NUMBER
@SEQ
@TOTAL
@by_operator
@click.pass_obj
def raise_(opener: Opener, /, number: int, row: int, total: int, **who: Any) -> None:
    """Say how many a ROW of an annual pass holds in all; never fewer than before."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        pass_stock.raise_row(connection, person, number, row, total, centre.now_ms())
    click.echo(json.dumps({"product": number, "row": row, "total": total}))


@stock.command()
@NUMBER
@SEQ
@click.argument("price_fen", type=FEN)
@by_operator
@click.pass_obj
def price(opener: Opener, /, number: int, row: int, price_fen: int, **who: Any) -> None:
    """Change what an annual pass of a ROW costs, for the orders placed from now on."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        before_fen = pass_stock.price_row(connection, person, number, row, price_fen, centre.now_ms())
    click.echo(json.dumps({"product": number, "row": row, "price_fen": price_fen, "before_fen": before_fen}))


COMMANDS = (stock,)
