"""`sync-server visits settle | pool`: what venues get for visits with annual passes."""

from __future__ import annotations

import json
from typing import Any

import click

from sync_server.arguments import FEN, MONTH, U16
from sync_server.catalog.tables import VISIT_SETTLEMENTS
from sync_server.centre import Opener
from sync_server.errors import NotAllowedError
from sync_server.parties.parties import venue_by_number
from sync_server.people.asking import by_operator, person_of
from sync_server.settlement import pools, visit_terms
from sync_server.settlement.months import month_named

REASON = click.option("--reason", required=True, help="what the other person and the log of operators are told")


@click.group()
def visits() -> None:
    """Visits with annual passes, and what venues get for them."""


@visits.command()
@click.argument("product", type=U16)
@click.argument("how", metavar="HOW", type=click.Choice(VISIT_SETTLEMENTS))
@click.option("--tariff", "tariffs", type=(U16, FEN), multiple=True, help="VENUE FEN, for PER_VISIT")
@REASON
@by_operator
@click.pass_obj
def settle(
    opener: Opener, /, product: int, how: str, tariffs: tuple[tuple[int, int], ...], reason: str, **who: Any
) -> None:
    """What venues get for a visit with PRODUCT: NONE, a tariff PER_VISIT, or a share of a month's POOL.

    It holds for what is cleared from then on. Tariffs another person confirms.
    """
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        by_venue = {venue_by_number(connection, number): fen for number, fen in tariffs}
        asked = None
        if tariffs and how == "PER_VISIT":
            asked = visit_terms.ask(connection, person, product, by_venue, reason, centre.now_ms())
        elif tariffs:
            raise NotAllowedError(f"tariffs are for PER_VISIT, not for {how}")
        else:
            visit_terms.settle(connection, person, product, how, reason, centre.now_ms())
    line = {"product": product, "visit_settlement": how, "tariffs_fen": dict(tariffs)}
    click.echo(json.dumps(line if asked is None else {"request": str(asked), "state": "requested", **line}))


@visits.command()
@click.argument("product", type=U16)
@click.argument("month", type=MONTH)
@click.argument("amount_fen", type=FEN)
@REASON
@by_operator
@click.pass_obj
def pool(opener: Opener, /, product: int, month: str, amount_fen: int, reason: str, **who: Any) -> None:
    """Share AMOUNT_FEN among the venues of PRODUCT by their visits in MONTH (2026-10), once. Another person confirms.

    It is refused while a gate of a venue may still bring visits of that month (`gate journals`). `request list` says
    who would get how much.
    """
    centre = opener()
    person = person_of(centre, who)
    named = month_named(month, centre.settings.zone)
    with centre.write() as connection:
        request_id = pools.ask(connection, person, product, named, amount_fen, reason, centre.now_ms())
    line = {"request": str(request_id), "state": "requested", "product": product, "month": month}
    click.echo(json.dumps({**line, "amount_fen": amount_fen}))
