"""Items that ended unused although an admission made before then was still to come: a watermark said too much (I15).

`ending_checks` compares with today's watermarks, which only rise: that can only be too kind. What came since is proof:
of an item that ended by its time an entry that a trusted clock puts before that, of one that was asked back an entry
made under a list that did not revoke it yet; from a journal that was known then, and waited for.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.gates.journals import KEPT_HERE
from sync_server.gates.tables import incarnation
from sync_server.gates.watermarks import RETIRED_WAITS_MS
from sync_server.invariants import MAX_NAMED
from sync_server.orders.claims import EXPIRED
from sync_server.orders.tables import item_claim, order_item, refund_hold
from sync_server.redemptions.tables import entry, redemption
from wire import moments
from wire.messages import ClockTrust, decode_entry

RULE = "I15 (no admission came after an item had ended unused that was made before its gate could refuse it)"


def contradicted(connection: Connection) -> list[str]:
    """The items, each with the entry that says so."""
    found = []
    for row in connection.execute(_late()):
        if _was_missing(row):
            found.append(f"{RULE}: order_item {row.item_id}, entry {row.seq} of gate {row.device_id.hex()}")
        if len(found) == MAX_NAMED:
            break
    return found


def _was_missing(row: sa.Row[Any]) -> bool:
    made = decode_entry(row.body)
    if row.ref == EXPIRED:
        return made.trust is ClockTrust.TRUSTED and made.device_at_ms < moments.minute_ms(row.valid_to)
    if row.at_ms >= row.deadline_ms or row.list_version is None:
        return False
    return (made.list_epoch, made.list_version) < (row.list_epoch, row.list_version)


def _late() -> sa.Select[Any]:
    """Admissions on items that had ended unused; stored since, from journals that were waited for at that moment."""
    journal = sa.and_(
        incarnation.c.device_id == redemption.c.device_id, incarnation.c.incarnation == redemption.c.incarnation
    )
    made = sa.and_(
        entry.c.device_id == redemption.c.device_id,
        entry.c.incarnation == redemption.c.incarnation,
        entry.c.seq == redemption.c.seq,
    )
    given_up_ms = incarnation.c.retired_at_ms + RETIRED_WAITS_MS
    waited_for = sa.and_(
        incarnation.c.incarnation != KEPT_HERE,
        incarnation.c.first_seen_ms <= item_claim.c.at_ms,
        incarnation.c.closed_seq.is_(None),
        sa.or_(given_up_ms.is_(None), given_up_ms > item_claim.c.at_ms),
    )
    return (
        sa.select(redemption.c.item_id, redemption.c.device_id, redemption.c.seq, entry.c.body)
        .add_columns(item_claim.c.ref, item_claim.c.at_ms, order_item.c.valid_to)
        .add_columns(refund_hold.c.deadline_ms, refund_hold.c.list_epoch, refund_hold.c.list_version)
        .join(item_claim, sa.and_(item_claim.c.item_id == redemption.c.item_id, item_claim.c.kind != "REDEEM"))
        .join(order_item, order_item.c.id == redemption.c.item_id)
        .join(incarnation, journal)
        .join(entry, made)
        .outerjoin(refund_hold, refund_hold.c.item_id == redemption.c.item_id)
        .where(redemption.c.outcome == "LATE", entry.c.received_at_ms > item_claim.c.at_ms, waited_for)
        .order_by(redemption.c.recorded_at_ms, redemption.c.id)
    )
