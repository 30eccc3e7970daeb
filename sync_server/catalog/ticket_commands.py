"""`sync-server product submit | agree | approve | send-back | reprice | revise | stock`: from a draft to a sale."""

from __future__ import annotations

import json
from typing import Any

import click

from sync_server.arguments import FEN, U16
from sync_server.catalog import publishing
from sync_server.catalog.commands import product
from sync_server.catalog.drafting_commands import VENUE_PRICES, prices_of, tell
from sync_server.catalog.products import DEADLINES, MAX_HOLD_DEADLINE_H, MAX_PAY_DEADLINE_MIN, PROMISES
from sync_server.catalog.stock import MAX_STOCK
from sync_server.centre import Opener
from sync_server.people.asking import by_operator, person_of

NUMBER = click.argument("number", type=U16)


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
    tell(number, "IN_REVIEW")


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
    """Put on sale what another person submitted."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        publishing.approve(connection, person, number, centre.now_ms())
    tell(number, "ON_SALE")


@product.command(name="send-back")
@NUMBER
@click.option("--reason", required=True)
@by_operator
@click.pass_obj
def send_back(opener: Opener, /, number: int, reason: str, **who: Any) -> None:
    """Give back what was submitted; it is a draft again."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        publishing.send_back(connection, person, number, reason.strip(), centre.now_ms())
    tell(number, "DRAFT")


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
        prices = prices_of(connection, venues)
        version = publishing.reprice(connection, person, number, dist_price, prices, centre.now_ms())
    tell(number, "DRAFT", version=version)


@product.command()
@NUMBER
@click.option("--pay-deadline-min", type=click.IntRange(1, MAX_PAY_DEADLINE_MIN))
@click.option("--hold-deadline-h", type=click.IntRange(1, MAX_HOLD_DEADLINE_H))
@click.option("--on-expiry", type=click.Choice(["REFUND", "FORFEIT"]))
@click.option("--refundable/--not-refundable", default=None, help="before it was used")
@click.option("--refund-charge-fee/--keep-charge-fee", default=None, help="whether the fee goes back with what does")
@by_operator
@click.pass_obj
def revise(opener: Opener, /, number: int, **named: Any) -> None:
    """Change what is named of a product that is not on sale; it is a draft again, and orders keep what they have."""
    centre = opener()
    person = person_of(centre, named)
    asked = {name: named[name] for name in (*DEADLINES, *PROMISES) if named[name] is not None}
    with centre.write() as connection:
        version = publishing.revise(connection, person, number, asked, centre.now_ms())
    tell(number, "DRAFT", version=version, **asked)


@product.command()
@NUMBER
@click.argument("total", type=click.IntRange(1, MAX_STOCK))
@by_operator
@click.pass_obj
def stock(opener: Opener, /, number: int, total: int, **who: Any) -> None:
    """Say how many of a ticket there are in all; later only more."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        publishing.set_stock(connection, person, number, total, centre.now_ms())
    click.echo(json.dumps({"number": number, "total": total}))


COMMANDS = (product,)
