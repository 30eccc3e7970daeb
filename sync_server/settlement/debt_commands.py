"""`sync-server debt list | repaid | write-off`: what parties owe, and how two persons end it.

`top-up pay-back` too, as what a distributor owes does not go back to it.
"""

from __future__ import annotations

import json
from typing import Any

import click

from sync_server.arguments import FEN
from sync_server.centre import Opener
from sync_server.payments.top_up_commands import AMOUNT, top_up
from sync_server.payments.voucher_options import by_voucher, voucher_of
from sync_server.people.asking import by_operator, person_of
from sync_server.settlement import debts, paying_back, repaying

ORGANISATION = click.argument("number", metavar="ORGANISATION")
REASON = click.option("--reason", required=True, help="what the other person and the log of operators are told")


@click.group()
def debt() -> None:
    """欠款: what venues owe for visits refunded at their cost or paid twice, and distributors for late entries."""


@debt.command(name="list")
@click.pass_obj
def list_(opener: Opener) -> None:
    """Who owes something, the oldest first. A JSON line each."""
    with opener().read() as connection:
        for one in debts.debts(connection):
            click.echo(json.dumps({**one._asdict(), "party_id": str(one.party_id)}, ensure_ascii=False))


@debt.command()
@ORGANISATION
@click.argument("amount_fen", metavar="FEN", type=FEN)
@by_voucher
@REASON
@by_operator
@click.pass_obj
def repaid(opener: Opener, /, number: str, amount_fen: int, reason: str, **options: Any) -> None:
    """Record what a venue paid by bank of what it owes; what is more goes back. Another person confirms."""
    centre = opener()
    voucher = voucher_of(options)
    person = person_of(centre, options)
    with centre.write() as connection:
        request_id = repaying.ask(connection, person, number, amount_fen, voucher, reason, centre.now_ms())
    click.echo(json.dumps({"request": str(request_id), "state": "requested", "amount_fen": amount_fen}))


@top_up.command(name="pay-back")
@ORGANISATION
@AMOUNT
@by_voucher
@REASON
@by_operator
@click.pass_obj
def pay_back(opener: Opener, /, number: str, amount_fen: int, reason: str, **options: Any) -> None:
    """退还预存款: record what went back to a distributor by bank, of its balance. Another person confirms.

    No order can use it from now on. What the distributor owes does not go back.
    """
    centre = opener()
    voucher = voucher_of(options)
    person = person_of(centre, options)
    with centre.write() as connection:
        request_id = paying_back.ask(connection, person, number, amount_fen, voucher, reason, centre.now_ms())
    click.echo(json.dumps({"request": str(request_id), "state": "requested", "amount_fen": -amount_fen}))


@debt.command(name="write-off")
@ORGANISATION
@REASON
@by_operator
@click.pass_obj
def write_off(opener: Opener, /, number: str, reason: str, **who: Any) -> None:
    """Ask that all that a party owes now is given up: it is the platform's loss. Another person confirms."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        request_id, amount_fen = debts.ask_write_off(connection, person, number, reason, centre.now_ms())
    click.echo(json.dumps({"request": str(request_id), "state": "requested", "amount_fen": amount_fen}))
