"""Sweeps: the platform's own money from its account at one provider to that at another (money.md P12).

Two transfers, one after the other: out of the one, then the arrival at the other, which may take days. In between the
money is in transit (1090). The first names the number of the second, so that the arrival is told from any other.
"""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.approvals.approvals import Person
from sync_server.audit.log import record
from sync_server.centre import Centre
from sync_server.db import derived_id, exclusive, new_id
from sync_server.errors import NotAllowedError
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import free_fen
from sync_server.ledger.book import legs
from sync_server.payments import transfers
from sync_server.payments.providers import CLEARING
from sync_server.payments.tables import external_transfer
from sync_server.people.permissions import Permission, need

ACTOR = "system:sweeps"
IN_TRANSIT = Account("1090")
MAX_PER_STEP = 100


def ask(
    connection: Connection, who: Person, source: str, target: str, amount_fen: int, reason: str, now_ms: int
) -> UUID:
    """Send money from our account at `source` to that at `target`, in the caller's transaction; the sweep's id."""
    need(who, Permission.MONEY_SWEEP)
    if source == target or amount_fen <= 0:
        raise NotAllowedError("a sweep takes more than 0 fen from one provider to another")
    exclusive(connection, "payments.sweeps")
    there_fen = max(0, free_fen(connection, CLEARING[source]))
    if amount_fen > there_fen:
        raise NotAllowedError(
            f"{there_fen} fen are free at {source}, by our book and without what waits to be paid out: not {amount_fen}"
        )
    sweep_id = new_id(now_ms)
    wanted = transfers.Request(
        kind="SWEEP_OUT",
        subject_key=f"sweep:{sweep_id.hex}:out",
        subject_id=sweep_id,
        provider=source,
        party_id=None,
        account_ref=target,
        amount_fen=amount_fen,
        title=f"调拨 {sweep_id.hex[:12]}",
        legs=legs((IN_TRANSIT, amount_fen), (CLEARING[source], -amount_fen)),
        original_out_no=transfers.number_of(derived_id(sweep_id, _key_in(sweep_id)), 1),
    )
    transfers.request(connection, [wanted], who.actor, now_ms)
    detail = {"from": source, "to": target, "amount_fen": amount_fen, "reason": reason}
    record(connection, now_ms, who.actor, "money.sweep", f"sweep:{sweep_id.hex}", detail)
    return sweep_id


def follow_sweeps(centre: Centre) -> int:
    """Worker step: await the arrival of what left; how many."""
    arrival = external_transfer.alias()
    left = sa.select(external_transfer).where(
        external_transfer.c.kind == "SWEEP_OUT",
        external_transfer.c.state == "SUCCEEDED",
        ~sa.exists().where(arrival.c.subject_id == external_transfer.c.subject_id, arrival.c.kind == "SWEEP_IN"),
    )
    if not centre.finds(left):
        return 0
    with centre.write() as connection:
        exclusive(connection, "payments.follow_sweeps")
        found = connection.execute(left.order_by(external_transfer.c.id).limit(MAX_PER_STEP)).all()
        wanted = [
            transfers.Request(
                kind="SWEEP_IN",
                subject_key=_key_in(row.subject_id),
                subject_id=row.subject_id,
                provider=row.account_ref,
                party_id=None,
                account_ref=None,
                amount_fen=row.amount_fen,
                title=row.title,
                legs=legs((CLEARING[row.account_ref], row.amount_fen), (IN_TRANSIT, -row.amount_fen)),
            )
            for row in found
        ]
        transfers.request(connection, wanted, ACTOR, centre.now_ms())
    return len(found)


def _key_in(sweep_id: UUID) -> str:
    return f"sweep:{sweep_id.hex}:in"
