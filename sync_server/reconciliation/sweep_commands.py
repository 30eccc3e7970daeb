"""`sync-server sweep returned | returned-by-bank`: two persons say that a sweep was sent back."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import click

from sync_server.arguments import FEN_OR_ZERO
from sync_server.centre import Opener
from sync_server.payments.sweep_commands import sweep
from sync_server.payments.voucher_options import by_voucher, voucher_of
from sync_server.payments.vouchers import Voucher
from sync_server.people.asking import by_operator, person_of
from sync_server.reconciliation import returned_sweeps

ARRIVAL = click.argument("transfer_id", metavar="ID", type=click.UUID)
REASON = click.option("--reason", required=True, help="what the other person and the log of operators are told")


@sweep.command()
@ARRIVAL
@click.argument("case_id", metavar="CASE", type=click.UUID)
@REASON
@by_operator
@click.pass_obj
def returned(opener: Opener, /, transfer_id: UUID, case_id: UUID, reason: str, **who: Any) -> None:
    """Record that a sweep came back to the account that it left: by the line of this case. Another person confirms.

    What lacks of it its bank kept: a fee.

    ID is its arrival (SWEEP_IN) in `transfer list`.
    """
    _ask(opener, transfer_id, case_id, reason, who)


@sweep.command(name="returned-by-bank")
@ARRIVAL
@by_voucher
@click.option("--fee-fen", type=FEN_OR_ZERO, default=0, help="what a bank kept of it")
@REASON
@by_operator
@click.pass_obj
def returned_by_bank(opener: Opener, /, transfer_id: UUID, fee_fen: int, reason: str, **options: Any) -> None:
    """Record that a sweep came to the platform's bank instead. Another person confirms.

    ID is its arrival (SWEEP_IN) in `transfer list`.
    """
    _ask(opener, transfer_id, voucher_of(options), reason, options, fee_fen)


def _ask(
    opener: Opener, transfer_id: UUID, came_back: UUID | Voucher, reason: str, who: dict[str, Any], fee_fen: int = 0
) -> None:
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        now_ms = centre.now_ms()
        request_id = returned_sweeps.ask(connection, person, transfer_id, came_back, reason, now_ms, fee_fen)
    click.echo(json.dumps({"request": str(request_id), "state": "requested", "transfer": str(transfer_id)}))


COMMANDS = (sweep,)
