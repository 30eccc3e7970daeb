"""`sync-server visits settle | pool`: what venues get for visits with annual passes."""

from __future__ import annotations

import json
from typing import Any

import click

from sync_server.arguments import FEN, MONTH, U16
from sync_server.catalog.tables import VISIT_SETTLEMENTS
from sync_server.centre import Opener
from sync_server.parties.parties import venue_by_number
from sync_server.people.asking import by_operator, person_of
from sync_server.settlement import pools
from sync_server.settlement.visits import set_visit_settlement


@click.group()
def visits() -> None:
    """Visits with annual passes, and what venues get for them."""


@visits.command()
@click.argument("product", type=U16)
@click.argument("how", metavar="HOW", type=click.Choice(VISIT_SETTLEMENTS))
@click.option("--tariff", "tariffs", type=(U16, FEN), multiple=True, help="VENUE FEN, for PER_VISIT")
@click.option("--reason", required=True, help="for the log of what operators did")
@by_operator
@click.pass_obj
def settle(
    opener: Opener, /, product: int, how: str, tariffs: tuple[tuple[int, int], ...], reason: str, **who: Any
) -> None:
    """What venues get from now on for a visit with PRODUCT: NONE, a tariff PER_VISIT, or a share of a month's POOL."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        by_venue = {venue_by_number(connection, number): fen for number, fen in tariffs}
        set_visit_settlement(connection, person, product, how, by_venue, reason, centre.now_ms())
    click.echo(json.dumps({"product": product, "visit_settlement": how, "tariffs_fen": dict(tariffs)}))


@visits.command()
@click.argument("product", type=U16)
@click.argument("month", type=MONTH)
@click.argument("amount_fen", type=FEN)
@click.option("--reason", required=True, help="for the log of what operators did")
@by_operator
@click.pass_obj
def pool(opener: Opener, /, product: int, month: str, amount_fen: int, reason: str, **who: Any) -> None:
    """Share AMOUNT_FEN among the venues of PRODUCT by their visits in MONTH (2026-10), once. A JSON line per venue.

    It is refused while a gate of a venue may still bring visits of that month (`gate journals`).
    """
    centre = opener()
    person = person_of(centre, who)
    zone = centre.settings.zone
    with centre.write() as connection:
        shares = pools.book_pool(connection, person, product, month, amount_fen, reason, zone, centre.now_ms())
    for share in shares:
        click.echo(json.dumps(share._asdict()))
