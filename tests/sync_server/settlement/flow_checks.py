"""What is looked at while `flows` runs: all rules of `check`, nothing put aside, the providers' lines in our book."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.checks import INVARIANTS, flaws_of
from sync_server.invariants import broken
from sync_server.ledger.balances import balance
from sync_server.ledger.tables import ledger_txn
from sync_server.orders.claims import EXPIRED
from sync_server.orders.tables import item_claim, order_item
from sync_server.payments.providers import CLEARING
from sync_server.payments.states import OPEN
from sync_server.payments.tables import COMING_IN, INCOMING, external_transfer, transfer_attempt
from sync_server.redemptions.tables import redemption
from sync_server.setbacks import setback
from tests.sync_server.direct_provider import APP_ID
from wire import moments

if TYPE_CHECKING:
    from tests.sync_server.settlement.flow_scene import Scene


def flaws(connection: Connection) -> list[str]:
    """Every rule that is broken, and every row that a step could not work on."""
    found = [f"put aside: {row.step}: {row.reason}" for row in connection.execute(sa.select(setback))]
    for each in INVARIANTS:
        found += [f"{each.name} ({each.rule}): {row}" for row in broken(connection, each)]
    return found + _too_early(connection)


def books_differ(connection: Connection, scene: Scene) -> list[str]:
    """Where what a provider moved is not what our attempts say, or not what is posted on its clearing account (I17)."""
    return [each for name, book in scene.books.items() for each in _lines(connection, name, book.statement)]


def settled_flaws(connection: Connection, scene: Scene) -> list[str]:
    """What may not be left once everybody behaves: open outcomes, a balance that is not the provider's."""
    opened = connection.scalars(sa.select(transfer_attempt.c.out_no).where(transfer_attempt.c.state.in_(OPEN))).all()
    found = flaws_of(connection) + [f"the outcome of {out_no} is still open" for out_no in opened]
    for name, book in scene.books.items():
        ours, theirs = balance(connection, CLEARING[name]).posted_fen, book.balances()[APP_ID]
        if ours != theirs:
            found.append(f"{name}: our book says {ours}, theirs {theirs}")
    return found


def _lines(connection: Connection, name: str, statement: object) -> list[str]:
    attempts = {
        row.out_no: row
        for row in connection.execute(
            sa.select(
                transfer_attempt.c.out_no,
                transfer_attempt.c.state,
                external_transfer.c.state.label("transfer_state"),
                external_transfer.c.kind,
                external_transfer.c.subject_id,
                external_transfer.c.amount_fen,
            )
            .join(external_transfer, external_transfer.c.id == transfer_attempt.c.transfer_id)
            .where(external_transfer.c.provider == name)
        )
    }
    lines = {str(row["out_no"]): int(str(row["amount_fen"])) for row in statement(APP_ID, 0, 1 << 60)}  # type: ignore[operator]
    found, booked_fen = [], 0
    for out_no, moved_fen in lines.items():
        attempt = attempts.get(out_no)
        if attempt is None:
            found.append(f"{name} moved {moved_fen} under {out_no}, which is not ours")
            continue
        wanted_fen = attempt.amount_fen if attempt.kind in COMING_IN else -attempt.amount_fen
        if moved_fen != wanted_fen:
            found.append(f"{name} moved {moved_fen} under {out_no} instead of {wanted_fen}")
        if attempt.state not in {"SUCCEEDED", "EXTRA", *OPEN}:
            found.append(f"{name} moved {moved_fen} under {out_no}, which is {attempt.state} here")
        if attempt.state == "SUCCEEDED" or (attempt.state == "EXTRA" and _is_booked(connection, attempt)):
            booked_fen += moved_fen
    done = {out_no for out_no, attempt in attempts.items() if attempt.state in {"SUCCEEDED", "EXTRA"}}
    found += [f"{name} never moved {out_no}" for out_no in sorted(done - set(lines))]
    if (posted_fen := balance(connection, CLEARING[name]).posted_fen) != booked_fen:
        found.append(f"{name}: {posted_fen} is posted, its lines are {booked_fen}")
    return found


def _is_booked(connection: Connection, attempt: Any) -> bool:
    """What came for an order after it was closed is booked when it is given back; more of it, as suspense at once."""
    if attempt.transfer_state != "VOID" or attempt.kind not in INCOMING:
        return True
    keys = (f"double:{attempt.out_no}", f"late:{attempt.subject_id.hex}")
    return connection.scalar(sa.select(ledger_txn.c.id).where(ledger_txn.c.txn_key.in_(keys)).limit(1)) is not None


def _too_early(connection: Connection) -> list[str]:
    """Items that expired although an entry made before their end was still on its way (I15)."""
    rows = connection.execute(
        sa.select(redemption.c.item_id, redemption.c.occurred_at_ms, order_item.c.valid_to)
        .join(item_claim, item_claim.c.item_id == redemption.c.item_id)
        .join(order_item, order_item.c.id == redemption.c.item_id)
        .where(redemption.c.outcome == "LATE", item_claim.c.ref == EXPIRED)
    )
    return [
        f"item {row.item_id} expired before all was known"
        for row in rows
        if row.occurred_at_ms < moments.minute_ms(row.valid_to)
    ]
