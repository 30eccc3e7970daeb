"""`sync-server product draft-single | draft-combo | submit | agree | approve | send-back | reprice | stock`."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import click
from sqlalchemy.engine import Connection

from sync_server.catalog import publishing
from sync_server.catalog.commands import product
from sync_server.catalog.products import NewProduct
from sync_server.catalog.tables import INVEST_BASES
from sync_server.centre import Opener
from sync_server.parties.parties import venue_by_number
from sync_server.people.asking import by_operator, person_of

FEN = click.IntRange(min=1)


class VenuePrice(click.ParamType[tuple[int, int]]):
    """A venue's number and what it is owed for one entry, in fen."""

    name = "VENUE=FEN"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Both, apart."""
        if isinstance(value, tuple):
            return value
        number, _, fen = str(value).partition("=")
        if not (number.isdecimal() and fen.isdecimal()) or int(fen) == 0:
            self.fail("write a venue's number and fen, as 1=5000", param, ctx)
        return int(number), int(fen)


VENUE_PRICES = click.option(
    "--venue", "venues", type=VenuePrice(), multiple=True, required=True, help="a venue and its price 景区结算价"
)
NUMBER = click.argument("number", type=int)


@product.command(name="draft-single")
@click.option("--name-zh", required=True)
@click.option("--name-en", required=True)
@click.option("--venue-price", type=FEN, required=True, help="owed to the venue for one entry 景区结算价, in fen")
@click.option("--dist-price", type=FEN, help="what distributors pay 经销商结算价, in fen; else the same")
@click.option("--days", type=click.IntRange(min=1), required=True, help="validity from issuance")
@click.option("--on-expiry", type=click.Choice(["REFUND", "FORFEIT"]), default="REFUND", show_default=True)
@by_operator
@click.pass_obj
def draft_single(opener: Opener, /, venue_price: int, dist_price: int | None, days: int, **named: Any) -> None:
    """Draft a single ticket of your venue for the pool."""
    centre = opener()
    person = person_of(centre, named)
    with centre.write() as connection:
        venue_id = publishing.organisation_of(connection, person)
        new = NewProduct(
            "SINGLE",
            named["name_zh"],
            named["name_en"],
            dist_price or venue_price,
            {venue_id: venue_price},
            days,
            total=1,
            on_expiry=named["on_expiry"],
        )
        number = publishing.draft(connection, person, new, centre.now_ms())
    _tell(number, "DRAFT", version=1)


@product.command(name="draft-combo")
@click.option("--name-zh", required=True)
@click.option("--name-en", required=True)
@VENUE_PRICES
@click.option("--dist-price", type=FEN, required=True, help="what distributors pay 经销商结算价, in fen")
@click.option("--days", type=click.IntRange(min=1), required=True, help="validity from issuance, at all its venues")
@click.option("--on-expiry", type=click.Choice(["REFUND", "FORFEIT"]), default="REFUND", show_default=True)
@click.option("--invest", type=click.Choice(INVEST_BASES), default="DIST_PRICE", show_default=True)
@by_operator
@click.pass_obj
def draft_combo(
    opener: Opener, /, venues: tuple[tuple[int, int], ...], dist_price: int, days: int, **named: Any
) -> None:
    """Draft a combo ticket of several venues."""
    centre = opener()
    person = person_of(centre, named)
    with centre.write() as connection:
        new = NewProduct(
            "COMBO",
            named["name_zh"],
            named["name_en"],
            dist_price,
            _prices(connection, venues),
            days,
            total=1,
            on_expiry=named["on_expiry"],
            invest_basis=named["invest"],
        )
        number = publishing.draft(connection, person, new, centre.now_ms())
    _tell(number, "DRAFT", version=1)


@product.command()
@NUMBER
@by_operator
@click.pass_obj
def submit(opener: Opener, /, number: int, **who: Any) -> None:
    """Ask the platform to review a draft."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        publishing.submit(connection, person, number, centre.now_ms())
    _tell(number, "IN_REVIEW")


@product.command()
@NUMBER
@click.option("--venue-price", type=FEN, required=True, help="your price in it, in fen")
@by_operator
@click.pass_obj
def agree(opener: Opener, /, number: int, venue_price: int, **who: Any) -> None:
    """Agree to the price of your venue in a combo ticket."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        publishing.agree(connection, person, number, venue_price, centre.now_ms())
    click.echo(json.dumps({"number": number, "agreed": venue_price}))


@product.command()
@NUMBER
@by_operator
@click.pass_obj
def approve(opener: Opener, /, number: int, **who: Any) -> None:
    """Put a ticket on sale that another person submitted."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        publishing.approve(connection, person, number, centre.now_ms())
    _tell(number, "ON_SALE")


@product.command(name="send-back")
@NUMBER
@click.option("--reason", required=True)
@by_operator
@click.pass_obj
def send_back(opener: Opener, /, number: int, reason: str, **who: Any) -> None:
    """Give a submitted ticket back; it is a draft again."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        publishing.send_back(connection, person, number, reason.strip(), centre.now_ms())
    _tell(number, "DRAFT")


@product.command()
@NUMBER
@click.option("--dist-price", type=FEN, required=True)
@VENUE_PRICES
@by_operator
@click.pass_obj
def reprice(opener: Opener, /, number: int, dist_price: int, venues: tuple[tuple[int, int], ...], **who: Any) -> None:
    """Give a ticket that is not on sale new prices; it is a draft again, and orders keep what they have."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        prices = _prices(connection, venues)
        version = publishing.reprice(connection, person, number, dist_price, prices, centre.now_ms())
    _tell(number, "DRAFT", version=version)


@product.command()
@NUMBER
@click.argument("total", type=click.IntRange(min=1))
@by_operator
@click.pass_obj
def stock(opener: Opener, /, number: int, total: int, **who: Any) -> None:
    """Say how many of a ticket there are in all; later only more."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        publishing.set_stock(connection, person, number, total, centre.now_ms())
    click.echo(json.dumps({"number": number, "total": total}))


def _prices(connection: Connection, venues: tuple[tuple[int, int], ...]) -> dict[UUID, int]:
    if len({number for number, _ in venues}) != len(venues):
        raise click.BadParameter("a venue is named twice", param_hint="--venue")
    return {venue_by_number(connection, number): price_fen for number, price_fen in venues}


def _tell(number: int, sale: str, **more: Any) -> None:
    click.echo(json.dumps({"number": number, "sale": sale, **more}))


COMMANDS = (product,)
