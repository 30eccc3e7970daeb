"""`sync-server product terms | discount`, `people`, `channel`, `fee`: to whom, through what, for how much is sold."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TextIO
from uuid import UUID
from zoneinfo import ZoneInfo

import click

from sync_server.arguments import DAY, FEN, FEN_OR_ZERO, U16
from sync_server.audit.log import COMMAND_LINE, record
from sync_server.catalog import channels, discounts, fees, person_lists
from sync_server.catalog.commands import product
from sync_server.catalog.products import find_product
from sync_server.catalog.tables import FEE_KINDS
from sync_server.catalog.terms import MAX_RENEWAL_DAYS, Terms, set_terms, terms_of
from sync_server.centre import Opener
from sync_server.errors import EXIT_CHECK_FAILED
from sync_server.parties.parties import party_by_org_number


def _shown(row: Any) -> str:
    return json.dumps(
        {key: str(value) if isinstance(value, UUID) else value for key, value in row.items()}, ensure_ascii=False
    )


@product.command(name="terms")
@click.argument("number", type=U16)
@click.option("--anyone", is_flag=True, help="sold to everybody")
@click.option("--area", "areas", multiple=True, help="sold to ID numbers that begin with these digits (GB/T 2260)")
@click.option("--list", "list_name", help="sold to the people of an imported list")
@click.option("--hotline", help="whom to call who may not buy it")
@click.option("--renewal-days", type=click.IntRange(0, MAX_RENEWAL_DAYS), help="so early before its end it is renewed")
@click.option("--refund-frees-stock/--refund-keeps-stock", default=None)
@click.pass_obj
def terms_(
    opener: Opener, /, number: int, anyone: bool, areas: tuple[str, ...], list_name: str | None, **named: Any
) -> None:
    """Print on what terms an annual pass is sold; change what is named."""
    if anyone + bool(areas) + (list_name is not None) > 1:
        raise click.UsageError("it is sold to anyone, to areas or to a list: name one")
    centre = opener()
    changes = {name: value for name, value in named.items() if value is not None}
    with centre.write() as connection:
        before = terms_of(find_product(connection, number))
        if anyone:
            changes |= {"eligibility": "ANYONE", "areas": (), "person_list_id": None}
        elif areas:
            changes |= {"eligibility": "AREAS", "areas": areas, "person_list_id": None}
        elif list_name is not None:
            list_id = person_lists.list_named(connection, list_name)
            changes |= {"eligibility": "LIST", "areas": (), "person_list_id": list_id}
        after: Terms = replace(before, **changes)
        if changes:
            set_terms(connection, find_product(connection, number), after, centre.now_ms(), COMMAND_LINE)
    click.echo(_shown({"number": number, **vars(after)}))


@product.group(name="discount")
def discount() -> None:
    """Prices of an annual pass for some, or for a while; of those that hold the lowest is charged."""


@discount.command(name="add")
@click.argument("number", type=U16)
@click.option("--price-fen", type=FEN, required=True)
@click.option("--resident", "areas", multiple=True, help="for ID numbers that begin with these digits (GB/T 2260)")
@click.option("--senior", "min_age", type=U16, help="for people of this age or older")
@click.option("--list", "list_name", help="for the people of an imported list")
@click.option("--from", "from_day", type=DAY, help="first day of a promotion for everybody")
@click.option("--to", "to_day", type=DAY, help="its last day")
@click.pass_obj
def add_discount(
    opener: Opener,
    /,
    number: int,
    price_fen: int,
    areas: tuple[str, ...],
    min_age: int | None,
    list_name: str | None,
    from_day: datetime | None,
    to_day: datetime | None,
) -> None:
    """Offer a pass for less."""
    centre = opener()
    zone = ZoneInfo(centre.settings.zone)
    from_ms = None if from_day is None else _ms(from_day, zone)
    until_ms = None if to_day is None else _ms(to_day, zone, days_on=1)
    kinds = {"RESIDENT": areas, "SENIOR": min_age, "LISTED": list_name, "PROMOTION": until_ms}
    kind = next((name for name, value in kinds.items() if value), "PROMOTION")
    with centre.write() as connection:
        list_id = None if list_name is None else person_lists.list_named(connection, list_name)
        new = discounts.NewDiscount(kind, price_fen, areas, min_age, list_id, from_ms, until_ms)
        sold = find_product(connection, number)
        made = discounts.add_discount(connection, sold, new, centre.now_ms(), COMMAND_LINE)
    click.echo(json.dumps({"number": number, "discount": str(made), "kind": kind}))


@discount.command(name="list")
@click.argument("number", type=U16)
@click.pass_obj
def list_discounts(opener: Opener, number: int) -> None:
    """One JSON line per discount that is offered."""
    with opener().read() as connection:
        for row in discounts.discounts_of(connection, find_product(connection, number).id):
            click.echo(_shown({name: value for name, value in row._mapping.items() if value is not None}))


@discount.command(name="end")
@click.argument("discount_id", type=click.UUID)
@click.pass_obj
def end_discount(opener: Opener, discount_id: UUID) -> None:
    """Offer it no longer; orders keep their price."""
    centre = opener()
    with centre.write() as connection:
        discounts.end_discount(connection, discount_id, centre.now_ms(), COMMAND_LINE)
    click.echo(json.dumps({"discount": str(discount_id), "ended": True}))


@click.group()
def people() -> None:
    """Lists of people, to whom a pass is sold, or sold for less."""


@people.command(name="import")
@click.argument("name")
@click.argument("file", type=click.File(encoding="utf-8"))
@click.pass_obj
def import_(opener: Opener, name: str, file: TextIO) -> None:
    """Make the list NAME of the ID numbers in the first column of a CSV file; - reads standard input.

    All of them or none: lines that name nobody are told. Only keyed hashes are kept.
    """
    centre = opener()
    with centre.write() as connection:
        done = person_lists.import_list(centre, connection, name, file, COMMAND_LINE)
    if isinstance(done, person_lists.WrongLines):
        for number, flaw in done.first:
            click.echo(f"sync-server: line {number}: {flaw}", err=True)
        click.echo(f"sync-server: {done.count} lines are wrong, nothing was imported", err=True)
        sys.exit(EXIT_CHECK_FAILED)
    click.echo(json.dumps({"list": name, **vars(done)}, ensure_ascii=False))


@click.group()
def channel() -> None:
    """Sales channels, through which orders come."""


@channel.command(name="list")
@click.pass_obj
def list_channels(opener: Opener) -> None:
    """One JSON line per channel."""
    with opener().read() as connection:
        for row in channels.all_channels(connection):
            click.echo(_shown(row._mapping))


@channel.command(name="add")
@click.argument("name")
@click.option("--english", required=True, help="its name in English")
@click.pass_obj
def add_channel(opener: Opener, name: str, english: str) -> None:
    """A further channel."""
    centre = opener()
    with centre.write() as connection:
        channels.add_channel(connection, name, english, centre.now_ms(), COMMAND_LINE)
    click.echo(json.dumps({"channel": name, "open": True}, ensure_ascii=False))


@channel.command(name="set")
@click.argument("name")
@click.option("--open/--closed", "is_open", default=None, help="whether new orders come through it")
@click.option(
    "--refund-hold-h",
    "hours",
    type=click.IntRange(1, channels.MAX_REFUND_HOLD_H),
    help="so long a refund waits at most for gates that have not heard of it",
)
@click.pass_obj
def set_channel(opener: Opener, name: str, is_open: bool | None, hours: int | None) -> None:
    """Close a channel for new orders, or open it again; say how long its refunds wait for gates."""
    if is_open is None and hours is None:
        raise click.UsageError("say what to set: --open, --closed or --refund-hold-h")
    centre = opener()
    with centre.write() as connection:
        if is_open is not None:
            channels.set_open(connection, name, is_open, centre.now_ms(), COMMAND_LINE)
        if hours is not None:
            channels.set_refund_hold(connection, name, hours, centre.now_ms(), COMMAND_LINE)
        (row,) = (one for one in channels.all_channels(connection) if one.name == name)
    told = {"channel": name, "open": row.open, "refund_hold_h": row.refund_hold_h}
    click.echo(json.dumps(told, ensure_ascii=False))


@click.group()
def fee() -> None:
    """Fee rates by party, product and date; what they come to is frozen on each order."""


@fee.command(name="list")
@click.option("--party", help="organisation number")
@click.pass_obj
def list_fees(opener: Opener, party: str | None) -> None:
    """One JSON line per rate, of one party or of all."""
    with opener().read() as connection:
        party_id = None if party is None else party_by_org_number(connection, party).id
        for row in fees.fee_rules(connection, party_id):
            click.echo(_shown(row))


@fee.command(name="add")
@click.argument("party")
@click.argument("kind", type=click.Choice(FEE_KINDS))
@click.argument("bps", type=click.IntRange(0, 10_000))
@click.option("--product", "number", type=U16, help="for one product instead of all that have no rate of their own")
@click.option("--min-fen", type=FEN_OR_ZERO, default=0, show_default=True)
@click.option("--max-fen", type=FEN_OR_ZERO)
@click.option("--from", "from_day", type=DAY, help="first day; now, unless given")
@click.pass_obj
def add_fee(
    opener: Opener,
    /,
    party: str,
    kind: str,
    bps: int,
    number: int | None,
    min_fen: int,
    max_fen: int | None,
    from_day: datetime | None,
) -> None:
    """Set the rate of a PARTY (organisation number) in basis points, for orders placed from a day on."""
    centre = opener()
    from_ms = None if from_day is None else _ms(from_day, ZoneInfo(centre.settings.zone))
    with centre.write() as connection:
        now_ms, party_id = centre.now_ms(), party_by_org_number(connection, party).id
        product_id: UUID | None = None if number is None else find_product(connection, number).id
        made = fees.add_fee_rule(
            connection,
            kind,
            party_id,
            bps,
            now_ms,
            product_id=product_id,
            min_fen=min_fen,
            max_fen=max_fen,
            valid_from_ms=from_ms,
        )
        told = {"kind": kind, "bps": bps, "product": number, "min_fen": min_fen, "max_fen": max_fen, "from_ms": from_ms}
        record(connection, now_ms, COMMAND_LINE, "fee.set", f"party:{party}", told)
    click.echo(json.dumps({"fee": str(made), "party": party, **told}))


def _ms(day: datetime, zone: ZoneInfo, days_on: int = 0) -> int:
    """The first moment of a local day, or of one so many days on."""
    begins = datetime.combine(day.date(), datetime.min.time(), zone).toordinal() + days_on
    return int(
        datetime.combine(datetime.fromordinal(begins), datetime.min.time(), zone).astimezone(UTC).timestamp() * 1000
    )


COMMANDS = (product, people, channel, fee)
