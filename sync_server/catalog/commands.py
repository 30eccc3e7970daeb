"""`sync-server product`: the products, whether each is on sale, and the rules by which they open."""

from __future__ import annotations

import json
from typing import Any, TextIO

import click
import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.arguments import U16
from sync_server.audit.log import COMMAND_LINE
from sync_server.catalog import sale
from sync_server.catalog.products import MAX_OFFLINE_LIMIT, MAX_UNLISTED_AGE_H, PROMISES, RANGES, find_product
from sync_server.catalog.rules import LIMITS, rule_version, rules, set_offline, set_rule
from sync_server.catalog.tables import product as table
from sync_server.centre import Opener
from sync_server.parties.commands import parsed
from sync_server.parties.day_lines import read_days, read_hours, write_days, write_hours
from wire.entitlement import MAX_COUNT, MAX_GAP_MIN, MAX_PARTY, Rule

NO_LIMIT = "none"


class Limit(click.ParamType[int | str]):
    """A number of entries, or `none`."""

    name = f"1..{MAX_COUNT}|{NO_LIMIT}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """The number, or the word."""
        return NO_LIMIT if value == NO_LIMIT else click.IntRange(1, MAX_COUNT).convert(value, param, ctx)


@click.group()
def product() -> None:
    """Products, by their numbers."""


@product.command(name="list")
@click.pass_obj
def list_(opener: Opener) -> None:
    """One JSON line per product with its rule."""
    with opener().read() as connection:
        for row in connection.execute(sa.select(table).order_by(table.c.number)):
            click.echo(json.dumps(_told(connection, row), ensure_ascii=False))


@product.command()
@click.argument("number", type=U16)
@click.option("--per-day", type=Limit(), help="entries a day at each venue")
@click.option("--per-month", type=Limit())
@click.option("--per-year", type=Limit())
@click.option("--total", type=Limit(), help="entries in all; of a ticket it stays as sold")
@click.option("--gap-min", type=click.IntRange(0, MAX_GAP_MIN), help="minutes between two entries at least")
@click.option("--leave-first/--no-leave-first", default=None, help="whoever is inside leaves before it opens again")
@click.option("--party", type=click.IntRange(1, MAX_PARTY), help="people that one presentation admits")
@click.option("--needs-card/--no-needs-card", default=None, help="a code alone will not do")
@click.option(
    "--slots", type=click.File(encoding="utf-8"), help="when it opens, as a venue's hours; - reads standard input"
)
@click.option("--blackout", type=click.File(encoding="utf-8"), help="days on which it does not open, a range a line")
@click.pass_obj
def rule(
    opener: Opener, /, number: int, slots: TextIO | None, blackout: TextIO | None, **named: int | str | None
) -> None:
    """Print the rule of a product; change what is named. It holds at once for what was sold before, too."""
    centre = opener()
    changes: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    changes |= {name: None for name in LIMITS if changes.get(name) == NO_LIMIT}
    if slots is not None:
        changes["slots"] = parsed(read_hours(slots.read()), "--slots")
    if blackout is not None:
        changes["blackout"] = parsed(read_days(blackout.read()), "--blackout")
    with centre.write() as connection:
        row = find_product(connection, number)
        if changes:
            new = msgspec.structs.replace(rules(connection)[row.id], **changes)
            set_rule(connection, row.id, new, centre.now_ms(), COMMAND_LINE)
        told = _told(connection, row)
    click.echo(json.dumps(told, ensure_ascii=False))


@product.command()
@click.argument("number", type=U16)
@click.option("--limit", "offline_limit", type=click.IntRange(0, MAX_OFFLINE_LIMIT), help="so many, a lane")
@click.option(
    "--max-unlisted-age-h",
    type=click.IntRange(0, MAX_UNLISTED_AGE_H),
    help="none once its list is older",
)
@click.pass_obj
def offline(opener: Opener, /, number: int, **named: int | None) -> None:
    """How many codes that its list does not name a cut-off gate admits; for what was sold before, too."""
    centre = opener()
    changes = {name: value for name, value in named.items() if value is not None}
    with centre.write() as connection:
        if changes:
            sold = find_product(connection, number)
            set_offline(connection, sold, changes, centre.now_ms(), COMMAND_LINE)
        told = _told(connection, find_product(connection, number))
    click.echo(json.dumps(told, ensure_ascii=False))


@product.command(name="take-off")
@click.argument("number", type=U16)
@click.option("--reason", required=True)
@click.pass_obj
def take_off(opener: Opener, number: int, reason: str) -> None:
    """Take a product off sale: nobody orders it, what was sold stays valid."""
    centre = opener()
    with centre.write() as connection:
        row = find_product(connection, number)
        sale.take_off(connection, row.id, reason.strip(), centre.now_ms(), COMMAND_LINE)
    click.echo(json.dumps({"number": number, "sale": "OFF_SALE"}))


@product.command(name="put-on")
@click.argument("number", type=U16)
@click.pass_obj
def put_on(opener: Opener, number: int) -> None:
    """Put a product on sale again."""
    centre = opener()
    with centre.write() as connection:
        sale.put_on(connection, find_product(connection, number).id, centre.now_ms(), COMMAND_LINE)
    click.echo(json.dumps({"number": number, "sale": "ON_SALE"}))


def _told(connection: Connection, row: sa.Row[Any]) -> dict[str, Any]:
    in_force: Rule = rules(connection)[row.id]
    told = {name: getattr(in_force, name) for name in (*LIMITS, "gap_min", "leave_first", "party", "needs_card")}
    told |= {"slots": write_hours(in_force.slots).splitlines(), "blackout": write_days(in_force.blackout).splitlines()}
    named = {"number": row.number, "kind": row.kind, "name_zh": row.name_zh, "sale": row.sale}
    named |= {"version": row.version, **{name: getattr(row, name) for name in (*RANGES, *PROMISES)}}
    return {**named, "rule_version": rule_version(connection, row.id), "rule": told}
