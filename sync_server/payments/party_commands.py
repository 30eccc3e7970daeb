"""`sync-server party add | list | contact | funding | accounts | account | stop`: who is told, who pays how."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID
from zoneinfo import available_timezones

import click
import sqlalchemy as sa

from sync_server.audit.log import COMMAND_LINE, record
from sync_server.centre import Opener
from sync_server.parties import accounts, contacts
from sync_server.parties.accounts import SettlementAccount
from sync_server.parties.parties import NewParty, add_party, party_by_org_number, set_funding
from sync_server.parties.tables import FUNDINGS, PARTY_KINDS, PROVIDERS, venue
from sync_server.parties.tables import party as table
from sync_server.payments import account_changes
from sync_server.payments.providers import need_payable
from sync_server.people.asking import by_operator, person_of
from sync_server.people.permissions import Permission, need

REASON = click.option("--reason", required=True, help="what the other person and the log of operators are told")


@click.group()
def party() -> None:
    """Parties, by their organisation numbers (机构号)."""


@party.command()
@click.argument("kind", type=click.Choice(PARTY_KINDS))
@click.argument("number", metavar="ORGANISATION")
@click.option("--name-zh", required=True)
@click.option("--name-en", required=True)
@click.option("--provider", type=click.Choice(PROVIDERS), default="ALIPAY", show_default=True)
@click.option("--account", required=True, help="there; of a distributor at Alipay its agreement 商家扣款")
@click.option("--zone", help="whose clock a venue goes by; the centre's unless given")
@click.pass_obj
def add(opener: Opener, /, kind: str, number: str, account: str, zone: str | None, **named: str) -> None:
    """Register a party 入驻; prints a venue's number, too."""
    centre = opener()
    zone = centre.settings.zone if zone is None else zone
    if zone not in available_timezones():
        raise click.UsageError(f"--zone: {zone!r} is no time zone: write it as Asia/Shanghai")
    new = NewParty(kind, number, named["name_zh"], named["name_en"], account, named["provider"])
    need_payable(centre.settings, kind, new.provider, account)
    with centre.write() as connection:
        now_ms = centre.now_ms()
        party_id = add_party(connection, new, zone, now_ms)
        detail = {"kind": kind, "name": new.name_zh, "account": SettlementAccount(new.provider, account).masked}
        record(connection, now_ms, COMMAND_LINE, "party.add", f"party:{party_id.hex}", detail)
        venue_number = connection.scalar(sa.select(venue.c.number).where(venue.c.id == party_id))
    click.echo(json.dumps({"party": number, "kind": kind, "venue": venue_number}))


@party.command(name="list")
@click.option("--kind", type=click.Choice(PARTY_KINDS), help="only these")
@click.pass_obj
def list_(opener: Opener, kind: str | None) -> None:
    """One JSON line per party: how it pays or is paid, its account and its contact with their ends alone.

    `venue` is the number that commands about a venue ask for, `party_id` whose account `export ledger` means.
    """
    centre = opener()
    with centre.read() as connection:
        rows = connection.execute(sa.select(table).order_by(table.c.org_number)).all()
        used = accounts.accounts_of(connection, [row.id for row in rows], centre.now_ms())
        venues = {row.id: row.number for row in connection.execute(sa.select(venue.c.id, venue.c.number))}
    for row in rows:
        if kind in (None, row.kind):
            line = {
                "party": row.org_number,
                "party_id": str(row.id),
                "venue": venues.get(row.id),
                "kind": row.kind,
                "name_zh": row.name_zh,
                "name_en": row.name_en,
            }
            line |= {"account": used[row.id].masked, "contact_phone": row.contact_phone_masked}
            click.echo(json.dumps(line | _terms(row), ensure_ascii=False))


@party.command()
@click.argument("number", metavar="ORGANISATION")
@click.argument("funding", type=click.Choice(FUNDINGS))
@click.option(
    "--on-top-up/--not-on-top-up",
    default=None,
    help="whether its held orders go on by themselves once the balance covers them; else as before",
)
@click.option("--reason", required=True, help="for the log of what operators did")
@by_operator
@click.pass_obj
def funding(opener: Opener, /, number: str, funding: str, *, on_top_up: bool | None, reason: str, **who: Any) -> None:
    """How a distributor pays for the orders it places from now on: charged at its provider, or from what it paid in."""
    centre = opener()
    person = person_of(centre, who)
    need(person, Permission.FUNDING_SET)
    with centre.write() as connection:
        one = party_by_org_number(connection, number)
        goes_on = one.goes_on_after_top_up if on_top_up is None else on_top_up
        set_funding(connection, one.id, funding, goes_on, reason, person.actor, centre.now_ms())
    click.echo(json.dumps({"party": number, "funding": funding, "goes_on_after_top_up": goes_on}))


@party.command()
@click.argument("number", metavar="ORGANISATION")
@click.option("--name", required=True, help="the person")
@click.option("--phone", required=True, help="where short messages reach them")
@click.option("--reason", required=True, help="for the log of what operators did")
@click.pass_obj
def contact(opener: Opener, number: str, name: str, phone: str, reason: str) -> None:
    """Set whom a party's short messages go to 联系人, in the place of the one before."""
    centre = opener()
    with centre.write() as connection:
        one = party_by_org_number(connection, number)
        try:
            contacts.set_contact(connection, centre.secrets, one.id, name, phone, reason, COMMAND_LINE, centre.now_ms())
        except ValueError as error:
            raise click.UsageError(str(error)) from error
    click.echo(json.dumps({"party": number, "reached": True}))


@party.command(name="accounts")
@click.argument("number", metavar="ORGANISATION")
@click.pass_obj
def accounts_(opener: Opener, number: str) -> None:
    """Print the account in use and every change of it that was asked for, the newest first."""
    centre = opener()
    with centre.read() as connection:
        one = party_by_org_number(connection, number)
        used = accounts.account_of(connection, one.id, centre.now_ms())
        changes = [
            {**row._mapping, "id": str(row.id), "party_id": str(row.party_id)}
            for row in accounts.changes_of(connection, one.id)
        ]
    click.echo(json.dumps({"party": number, **used._asdict(), "changes": changes}, ensure_ascii=False))


@party.command()
@click.argument("number", metavar="ORGANISATION")
@click.argument("provider", type=click.Choice(PROVIDERS))
@click.argument("account_ref", metavar="ACCOUNT")
@REASON
@by_operator
@click.pass_obj
def account(opener: Opener, /, number: str, provider: str, account_ref: str, reason: str, **who: Any) -> None:
    """Ask that a party's money goes to ACCOUNT at PROVIDER. Another person confirms; it is used a day after that."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        one = party_by_org_number(connection, number)
        need_payable(centre.settings, one.kind, provider, account_ref)
        new = SettlementAccount(provider, account_ref)
        change_id = account_changes.ask(connection, person, one.id, new, reason, centre.now_ms())
    click.echo(json.dumps({"request": str(change_id), "state": "requested", "party": number}))


@party.command()
@click.argument("request_id", metavar="REQUEST", type=click.UUID)
@REASON
@by_operator
@click.pass_obj
def stop(opener: Opener, /, request_id: UUID, reason: str, **who: Any) -> None:
    """Stop a confirmed change of account that is not used yet: money goes on to the account before."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        account_changes.stop(connection, person, request_id, reason, centre.now_ms())
    click.echo(json.dumps({"request": str(request_id), "state": "stopped"}))


def _terms(row: sa.Row[Any]) -> dict[str, Any]:
    """What is agreed with a party of its kind."""
    names = {
        "DISTRIBUTOR": ("funding", "goes_on_after_top_up", "late_liability"),
        "VENUE": ("payout_mode",),
    }
    return {name: row._mapping[name] for name in names.get(row.kind, ())}


COMMANDS = (party,)
