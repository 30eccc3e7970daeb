"""`sync-server product draft-single | draft-combo | draft-pass`: what is to be sold, before anybody reviewed it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar
from uuid import UUID

import click
from sqlalchemy.engine import Connection

from sync_server.arguments import FEN, U16
from sync_server.catalog import publishing
from sync_server.catalog.commands import product
from sync_server.catalog.products import (
    MAX_ACTIVATION_DELAY_H,
    MAX_HOLD_DEADLINE_H,
    MAX_OFFLINE_LIMIT,
    MAX_PAY_DEADLINE_MIN,
    MAX_UNLISTED_AGE_H,
    MAX_VALIDITY_DAYS,
    NewProduct,
)
from sync_server.catalog.tables import INVEST_BASES
from sync_server.centre import Opener
from sync_server.parties.parties import venue_by_number
from sync_server.people.asking import by_operator, person_of
from wire.entitlement import MAX_COUNT

Command = TypeVar("Command", bound=Callable[..., Any])
NAMES = (click.option("--name-zh", required=True), click.option("--name-en", required=True))
LIMITS = (
    click.option(
        "--days", "validity_days", type=click.IntRange(1, MAX_VALIDITY_DAYS), required=True, help="from issuance"
    ),
    click.option(
        "--pay-deadline-min",
        type=click.IntRange(1, MAX_PAY_DEADLINE_MIN),
        default=30,
        show_default=True,
        help="an order not paid by then is closed",
    ),
    click.option(
        "--hold-deadline-h",
        type=click.IntRange(1, MAX_HOLD_DEADLINE_H),
        default=24,
        show_default=True,
        help="so long an order waits for its distributor's top-up",
    ),
    click.option(
        "--offline-limit",
        type=click.IntRange(0, MAX_OFFLINE_LIMIT),
        default=20,
        show_default=True,
        help="so many that its list does not name yet a cut-off gate admits",
    ),
    click.option(
        "--max-unlisted-age-h",
        type=click.IntRange(0, MAX_UNLISTED_AGE_H),
        default=24,
        show_default=True,
        help="and none of them once its list is older",
    ),
)


def _delay(default_h: int) -> Callable[[Command], Command]:
    return click.option(
        "--activation-delay-h",
        type=click.IntRange(0, MAX_ACTIVATION_DELAY_H),
        default=default_h,
        show_default=True,
        help="usable so long after it was issued",
    )


TICKET = (
    *LIMITS,
    _delay(default_h=0),
    click.option("--on-expiry", type=click.Choice(["REFUND", "FORFEIT"]), default="REFUND", show_default=True),
    click.option("--refundable/--not-refundable", default=True, show_default=True, help="before it was used"),
    click.option("--refund-charge-fee", is_flag=True, help="what is given back takes its part of the charge fee along"),
    click.option("--holder-required", is_flag=True, help="nobody enters with it before a traveller is named 待激活"),
)


class VenuePrice(click.ParamType[tuple[int, int]]):
    """A venue's number and what it is owed for one entry, in fen."""

    name = "VENUE=FEN"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Both, apart."""
        if isinstance(value, tuple):
            return value
        number, _, fen = str(value).partition("=")
        if not (number.isdecimal() and fen.isdecimal()):
            self.fail("write a venue's number and fen, as 1=5000", param, ctx)
        return U16.convert(int(number), param, ctx), FEN.convert(int(fen), param, ctx)


VENUE_PRICES = click.option(
    "--venue", "venues", type=VenuePrice(), multiple=True, required=True, help="a venue and its price 景区结算价"
)


def asking(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several options of a command, in the order in which they are told."""

    def asked(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return asked


@product.command(name="draft-single")
@asking(*NAMES)
@click.option("--venue-price", type=FEN, required=True, help="owed to the venue for one entry 景区结算价, in fen")
@click.option("--dist-price", type=FEN, help="what distributors pay 经销商结算价, in fen; else the same")
@asking(*TICKET)
@by_operator
@click.pass_obj
def draft_single(opener: Opener, /, venue_price: int, dist_price: int | None, **named: Any) -> None:
    """Draft a single ticket of your venue for the pool."""
    centre = opener()
    person = person_of(centre, named)
    with centre.write() as connection:
        prices = {publishing.organisation_of(connection, person): venue_price}
        new = NewProduct(
            "SINGLE", dist_price_fen=dist_price or venue_price, venue_prices_fen=prices, total=1, **_asked(named)
        )
        number = publishing.draft(connection, person, new, centre.now_ms())
    tell(number, "DRAFT", version=1)


@product.command(name="draft-combo")
@asking(*NAMES)
@VENUE_PRICES
@click.option("--dist-price", type=FEN, required=True, help="what distributors pay 经销商结算价, in fen")
@asking(*TICKET)
@click.option("--invest", "invest_basis", type=click.Choice(INVEST_BASES), default="DIST_PRICE", show_default=True)
@by_operator
@click.pass_obj
def draft_combo(opener: Opener, /, venues: tuple[tuple[int, int], ...], dist_price: int, **named: Any) -> None:
    """Draft a combo ticket of several venues, valid equally long at all of them."""
    centre = opener()
    person = person_of(centre, named)
    with centre.write() as connection:
        prices = prices_of(connection, venues)
        new = NewProduct("COMBO", dist_price_fen=dist_price, venue_prices_fen=prices, total=1, **_asked(named))
        number = publishing.draft(connection, person, new, centre.now_ms())
    tell(number, "DRAFT", version=1)


@product.command(name="draft-pass")
@asking(*NAMES)
@click.option("--venue", "venues", type=U16, multiple=True, required=True, help="the number of one that it opens")
@click.option("--price", "price_fen", type=FEN, required=True, help="of one, in fen, unless its stock says else")
@asking(*LIMITS, _delay(default_h=24))
@click.option("--per-day", type=click.IntRange(1, MAX_COUNT), help="entries a day at each venue; more by product rule")
@by_operator
@click.pass_obj
def draft_pass(opener: Opener, /, venues: tuple[int, ...], price_fen: int, **named: Any) -> None:
    """Draft an annual pass. Its stock, terms, discounts and rule have commands of their own."""
    centre = opener()
    person = person_of(centre, named)
    with centre.write() as connection:
        places = prices_of(connection, tuple((number, 0) for number in venues))  # by the visit they are owed nothing
        asked = _asked(named)
        new = NewProduct("PASS", dist_price_fen=price_fen, venue_prices_fen=places, holder_required=True, **asked)
        number = publishing.draft(connection, person, new, centre.now_ms())
    tell(number, "DRAFT", version=1)


def prices_of(connection: Connection, venues: tuple[tuple[int, int], ...]) -> dict[UUID, int]:
    """Prices by venue, as options name them."""
    if len({number for number, _ in venues}) != len(venues):
        raise click.BadParameter("a venue is named twice", param_hint="--venue")
    return {venue_by_number(connection, number): price_fen for number, price_fen in venues}


def tell(number: int, sale: str, **more: Any) -> None:
    """Where a product stands now."""
    click.echo(json.dumps({"number": number, "sale": sale, **more}))


def _asked(named: dict[str, Any]) -> dict[str, Any]:
    """What options say of the product by the names of `NewProduct`; the others say who drafts it."""
    return {field.name: named[field.name] for field in fields(NewProduct) if field.name in named}
