"""`sync-server agreement sign | show | end`: distributors' standing agreements with Alipay 商家扣款 (money.md §4).

The number that the agreement is known by on our side is the organisation's; one that is signed anew adds a
small letter, which no organisation number has: 3001b.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from sync_server.audit.log import record
from sync_server.centre import Centre, Opener
from sync_server.errors import NotAllowedError
from sync_server.parties.parties import party_by_org_number
from sync_server.payments import alipay_client
from sync_server.payments.alipay_client import Agreement, AlipayClient
from sync_server.payments.provider import NotKnown, Refused, Unclear
from sync_server.people.asking import by_operator, person_of
from sync_server.people.permissions import Permission, need

ORGANISATION = click.argument("number", metavar="ORGANISATION")
OURS = click.option("--as", "ours", help="the number we know it by, as 3001b; the organisation's unless given")
_FURTHER = re.compile(r"([a-z][0-9a-z]{0,7})?")


@click.group()
def agreement() -> None:
    """Standing agreements of distributors with Alipay, by which they are charged."""


@agreement.command()
@ORGANISATION
@OURS
@click.pass_obj
def sign(opener: Opener, number: str, ours: str | None) -> None:
    """Print the address at which a distributor signs; nothing is changed here."""
    centre = opener()
    _find(centre, number)
    known_as = _known_as(number, ours)
    with _alipay(centre) as client:
        address = client.sign_address(known_as, centre.settings.base_url)
    click.echo(json.dumps({"party": number, "as": known_as, "sign_url": address}))


@agreement.command()
@ORGANISATION
@OURS
@click.pass_obj
def show(opener: Opener, number: str, ours: str | None) -> None:
    """Print what became of it: its number, which `party account` takes, and TEMP, NORMAL or STOP."""
    centre = opener()
    _find(centre, number)
    known_as = _known_as(number, ours)
    with _alipay(centre) as client:
        told = client.agreement(known_as)
    line: dict[str, str | None] = {"party": number, "as": known_as}
    match told:
        case Agreement(account, state):
            line |= {"account": account, "state": state}
        case NotKnown():
            line |= {"account": None, "state": "NOT_SIGNED"}
        case Unclear(reason):
            raise NotAllowedError(f"Alipay does not say what became of it, ask again later: {reason}")
    click.echo(json.dumps(line))


@agreement.command()
@ORGANISATION
@click.argument("agreement_no", metavar="AGREEMENT")
@OURS
@click.option("--reason", required=True, help="for the log of what operators did")
@by_operator
@click.pass_obj
def end(opener: Opener, /, number: str, agreement_no: str, ours: str | None, reason: str, **who: Any) -> None:
    """End the agreement of this number: its distributor cannot be charged by it from then on."""
    centre = opener()
    person = person_of(centre, who)
    need(person, Permission.ACCOUNTS_CHANGE)
    party_id = _find(centre, number)
    known_as = _known_as(number, ours)

    def log(action: str) -> None:
        with centre.write() as connection:
            detail = {"account": f"…{agreement_no[-4:]}", "reason": reason}
            record(connection, centre.now_ms(), person.actor, action, f"party:{party_id}", detail)

    with _alipay(centre) as client:
        _need_theirs(client, known_as, agreement_no)
        log("party.agreement_end")  # before it is gone, so that a crash leaves who asked for it
        refused = client.unsign(agreement_no)
    if isinstance(refused, Refused | Unclear):
        raise NotAllowedError(f"Alipay did not end it: {refused.reason}")
    log("party.agreement_ended")
    click.echo(json.dumps({"party": number, "account": agreement_no, "state": "STOP"}))


def _known_as(number: str, ours: str | None) -> str:
    """What we call an agreement of this organisation: never what another one's would be called."""
    if ours is not None and not (ours.startswith(number) and _FURTHER.fullmatch(ours.removeprefix(number))):
        raise NotAllowedError(f"an agreement of {number} is known as {number}, {number}b and so on, not as {ours!r}")
    return ours or number


def _need_theirs(client: AlipayClient, known_as: str, agreement_no: str) -> None:
    told = client.agreement(known_as)
    if isinstance(told, Unclear):
        raise NotAllowedError(f"Alipay does not say what became of it, ask again later: {told.reason}")
    if isinstance(told, NotKnown) or told.agreement_no != agreement_no:
        raise NotAllowedError(
            f"{agreement_no} is not the agreement that we know as {known_as}: see agreement show;"
            " one that was signed under another number is named by --as"
        )


def _find(centre: Centre, number: str) -> str:
    with centre.read() as connection:
        one = party_by_org_number(connection, number)
    if one.kind != "DISTRIBUTOR":
        raise NotAllowedError(f"{number} is a {one.kind}: distributors have agreements")
    return str(one.id)


@contextmanager
def _alipay(centre: Centre) -> Iterator[AlipayClient]:
    if centre.settings.alipay_app_id is None:
        raise NotAllowedError("an agreement is Alipay's: set alipay_app_id first (docs/settings.md)")
    client = alipay_client.client_of(centre)
    try:
        yield client
    finally:
        client.close()


COMMANDS = (agreement,)
