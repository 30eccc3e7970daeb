"""The redemptions' invariants (money.md I4, I13)."""

from __future__ import annotations

from sync_server.invariants import Invariant
from wire.messages import COUNTING, EntryKind

_COUNTING = ", ".join(f"{kind:d}" for kind in sorted(COUNTING))
_COUNTS = f"""
    (i.kind = {EntryKind.MANUAL:d} OR (i.kind = {EntryKind.INTENT:d} AND (EXISTS (
        SELECT 1 FROM entry o WHERE o.device_id = i.device_id AND o.incarnation = i.incarnation
        AND o.ref_seq = i.seq AND o.kind IN ({_COUNTING})) OR EXISTS (
        SELECT 1 FROM far_outcome o WHERE o.device_id = i.device_id AND o.of_incarnation = i.incarnation
        AND o.of_seq = i.seq AND o.kind IN ({_COUNTING})))))
"""  # noqa: S608  numbers of our own

CHECKS = (
    Invariant(
        "I13",
        "every entry is of a gate that is known, at a venue that is",
        """
        SELECT 'entry', e.seq, 'of gate', e.device_id FROM entry e
        LEFT JOIN device d ON d.id = e.device_id LEFT JOIN venue v ON v.id = e.venue_id
        WHERE d.id IS NULL OR v.id IS NULL
        """,
    ),
    Invariant(
        "I4",
        "an item that ended as redeemed was ended by a redemption that counts as CLAIMED, and by no other",
        """
        SELECT 'item_claim of order_item ' || CAST(c.item_id AS VARCHAR(36)), COUNT(r.id) FROM item_claim c
        LEFT JOIN redemption r ON r.item_id = c.item_id AND r.outcome = 'CLAIMED'
        WHERE c.kind = 'REDEEM' GROUP BY c.item_id HAVING COUNT(r.id) <> 1
        """,
    ),
    Invariant(
        "I13",
        "every CLAIMED redemption holds the claim on its item",
        """
        SELECT 'redemption at entry', r.seq, 'of order_item ' || CAST(r.item_id AS VARCHAR(36)) FROM redemption r
        LEFT JOIN item_claim c ON c.item_id = r.item_id AND c.kind = 'REDEEM'
        WHERE r.outcome = 'CLAIMED' AND c.item_id IS NULL
        """,
    ),
    Invariant(
        "I13",
        "an admission that counts is a redemption, once, with one outcome",
        f"""
        SELECT 'entry', i.seq, 'of pass ' , i.pass_id FROM entry i
        WHERE i.kind IN ({EntryKind.MANUAL:d}, {EntryKind.INTENT:d}) AND NOT EXISTS (
            SELECT 1 FROM redemption r
            WHERE r.device_id = i.device_id AND r.incarnation = i.incarnation AND r.seq = i.seq) AND {_COUNTS}
        """,  # noqa: S608  the constant above
    ),
    Invariant(
        "I13",
        "every redemption comes from an entry that counts",
        f"""
        SELECT 'redemption at entry', r.seq FROM redemption r
        LEFT JOIN entry i ON i.device_id = r.device_id AND i.incarnation = r.incarnation AND i.seq = r.seq
        WHERE (SELECT COUNT(*) FROM redemption) <> (
                SELECT COUNT(*) FROM entry i CROSS JOIN redemption k
                WHERE k.device_id = i.device_id AND k.incarnation = i.incarnation AND k.seq = i.seq AND {_COUNTS})
          AND (i.seq IS NULL OR NOT {_COUNTS})
        """,  # noqa: S608  the constant above; counted in the order of the entries, named only where one is wrong
    ),
)
