"""`sync-server top-up cashier | record | balance`: what distributors pay in, and what is left."""

from __future__ import annotations

import json
from typing import Any

import click

from sync_server.audit.log import COMMAND_LINE
from sync_server.centre import Opener
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import balance as balance_of
from sync_server.parties.parties import party_by_org_number
from sync_server.payments import top_ups, transfers
from sync_server.payments.providers import clients_of
from sync_server.payments.voucher_options import by_voucher, voucher_of
from sync_server.people.asking import by_operator, person_of

ORGANISATION = click.argument("number", metavar="ORGANISATION")
AMOUNT = click.argument("amount_fen", metavar="FEN", type=click.IntRange(1, top_ups.MAX_TOP_UP_FEN))


@click.group(name="top-up")
def top_up() -> None:
    """充值: distributors by their organisation numbers (机构号), amounts in fen."""


@top_up.command()
@ORGANISATION
@AMOUNT
@click.pass_obj
def cashier(opener: Opener, number: str, amount_fen: int) -> None:
    """Let a distributor pay in at its provider's cashier, within half an hour; prints the address."""
    centre = opener()
    with centre.write() as connection:
        party = party_by_org_number(connection, number)
        now_ms = centre.now_ms()
        transfer_id = top_ups.begin(connection, party.id, amount_fen, COMMAND_LINE, now_ms, caller_sends=True)
    with clients_of(centre) as clients:
        transfers.move_now(centre, clients, transfer_id)
    with centre.read() as connection:
        address = transfers.pay_url(connection, transfer_id)
    click.echo(json.dumps({"transfer": str(transfer_id), "amount_fen": amount_fen, "pay_url": address}))


@top_up.command()
@ORGANISATION
@AMOUNT
@by_voucher
@click.option("--reason", required=True, help="what the other person and the log of operators are told")
@by_operator
@click.pass_obj
def record(opener: Opener, /, number: str, amount_fen: int, reason: str, **options: Any) -> None:
    """Record what a distributor paid in by bank. Another person confirms, with the voucher before them."""
    centre = opener()
    voucher = voucher_of(options)
    person = person_of(centre, options)
    with centre.write() as connection:
        party = party_by_org_number(connection, number)
        request_id = top_ups.ask(connection, person, party.id, amount_fen, voucher, reason, centre.now_ms())
    click.echo(json.dumps({"request": str(request_id), "state": "requested", "amount_fen": amount_fen}))


@top_up.command()
@ORGANISATION
@click.pass_obj
def balance(opener: Opener, number: str) -> None:
    """What a distributor paid in and did not use yet; what is on its way in, or below 0 out, stands apart."""
    with opener().read() as connection:
        party = party_by_org_number(connection, number)
        held = balance_of(connection, Account("2010", party.id))
    click.echo(json.dumps({"party": number, "balance_fen": -held.posted_fen, "coming_fen": -held.pending_fen}))


COMMANDS = (top_up,)
