"""`sync-server statement make | list | show | export`: the numbered statements of venues and distributors."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
import sqlalchemy as sa

from sync_server.arguments import DAY
from sync_server.centre import Opener
from sync_server.parties.parties import party_by_org_number
from sync_server.parties.tables import party
from sync_server.people.asking import by_operator, person_of
from sync_server.sheets.sheet import write_file
from sync_server.statements import numbered
from sync_server.statements.sheet import sheet_of, writers
from sync_server.statements.tables import statement

MAX_LISTED = 1_000
FORMATS = ("xlsx", "csv", "pdf")


@click.group(name="statement")
def group() -> None:
    """Numbered statements 财务报表: what venues and distributors were owed and paid, line by line."""


@group.command()
@click.option("--party", "org_number", required=True, help="organisation number (机构号) of a venue or distributor")
@click.option("--from", "from_day", type=DAY, required=True, help="the first day")
@click.option("--to", "to_day", type=DAY, required=True, help="the last day")
@by_operator
@click.pass_obj
def make(opener: Opener, /, org_number: str, from_day: datetime, to_day: datetime, **who: Any) -> None:
    """Number and freeze the statement of a period that is over; the same again is the same statement."""
    centre = opener()
    person = person_of(centre, who)
    zone = ZoneInfo(centre.settings.zone)
    with centre.write() as connection:
        party_id = party_by_org_number(connection, org_number).id
        made = numbered.make(connection, person, party_id, from_day.date(), to_day.date(), zone, centre.now_ms())
    _tell(made, org_number)


@group.command(name="list")
@click.option("--party", "org_number", help="only those of this organisation (机构号)")
@click.pass_obj
def list_(opener: Opener, org_number: str | None) -> None:
    """The newest statements, one JSON object a line."""
    query = sa.select(statement, party.c.org_number).join(party, party.c.id == statement.c.party_id)
    with opener().read() as connection:
        if org_number is not None:
            query = query.where(statement.c.party_id == party_by_org_number(connection, org_number).id)
        for row in connection.execute(query.order_by(statement.c.id.desc()).limit(MAX_LISTED)):
            _tell(row, row.org_number)


@group.command()
@click.argument("number")
@click.pass_obj
def show(opener: Opener, number: str) -> None:
    """The lines of a statement, one JSON object a line; the statement itself first."""
    with opener().read() as connection:
        head = numbered.find(connection, number)
        _tell(head, head.org_number)
        for row in numbered.rows_of(connection, head.id):
            line = {name: value for name, value in row._mapping.items() if name != "statement_id"}
            click.echo(json.dumps(line, ensure_ascii=False))


@group.command()
@click.argument("number")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--format", "format_", type=click.Choice(FORMATS), help="else as the file's name ends")
@click.pass_obj
def export(opener: Opener, number: str, file: Path, format_: str | None) -> None:
    """Write a statement to FILE as XLSX, CSV or PDF."""
    centre = opener()
    wanted = format_ or file.suffix.removeprefix(".").lower()
    if wanted not in FORMATS:
        raise click.UsageError(f"say --format {' | '.join(FORMATS)}, or let the file's name end so")
    with centre.read() as connection:
        sheet = sheet_of(connection, number, ZoneInfo(centre.settings.zone))
    write_file(file, writers(centre.settings.pdf_font_file)[wanted](sheet))
    click.echo(json.dumps({"number": number, "file": str(file), "lines": len(sheet.rows)}, ensure_ascii=False))


def _tell(row: sa.Row[Any], org_number: str) -> None:
    told = {
        "number": row.number,
        "kind": row.kind,
        "party": org_number,
        "from": row.from_day,
        "to": row.to_day,
        "opening_fen": row.opening_fen,
        "closing_fen": row.closing_fen,
        "lines": row.lines,
    }
    click.echo(json.dumps(told, ensure_ascii=False))


COMMANDS = (group,)
