"""Items end as they were sold, and no sooner than the gates' watermarks allow (money.md I11, I15).

What a watermark was when an item ended is not kept, but watermarks only rise: a journal that was known then, is waited
for still and has not come so far now had not then. What came since, `ending_proofs` looks at.
"""

from __future__ import annotations

from sync_server.gates.journals import KEPT_HERE
from sync_server.gates.watermarks import RETIRED_WAITS_MS
from sync_server.invariants import Invariant
from sync_server.orders.checks import NEVER_PAID
from sync_server.orders.claims import EXPIRED, REQUESTED, UNISSUED
from sync_server.redemptions.judge import TOLERANCE_MS
from wire import moments

_KNOWN_AFTER_MS = f"({moments.minute_ms(0)} + CAST(i.valid_to AS BIGINT) * {moments.MINUTE_MS} + {TOLERANCE_MS})"
"""A journal that is complete up to here holds no entry that was made before the item's end."""
_JOURNALS = f"""
    (SELECT d.venue_id, COALESCE(n.synced_through_ms, 0) AS through_ms, n.first_seen_ms,
            COALESCE(n.retired_at_ms + {RETIRED_WAITS_MS}, {2**62}) AS waited_until_ms
     FROM incarnation n JOIN device d ON d.id = n.device_id
     WHERE n.closed_seq IS NULL AND ENCODE(n.incarnation, 'hex') <> '{KEPT_HERE.hex()}')
"""  # noqa: S608  a constant of the code

CHECKS = (
    Invariant(
        "I15",
        "no item expired before its end, nor before every journal of its venue was complete beyond it",
        f"""
        SELECT 'order_item ' || CAST(i.id AS VARCHAR(36)), c.at_ms FROM item_claim c
        JOIN order_item i ON i.id = c.item_id
        WHERE c.kind <> 'REDEEM' AND c.ref = '{EXPIRED}'
          AND (i.valid_to IS NULL OR c.at_ms < {_KNOWN_AFTER_MS})
        UNION ALL
        SELECT 'order_item ' || CAST(i.id AS VARCHAR(36)), c.at_ms FROM item_claim c
        JOIN order_item i ON i.id = c.item_id
        JOIN {_JOURNALS} j ON j.venue_id = i.venue_id
        WHERE c.kind <> 'REDEEM' AND c.ref = '{EXPIRED}'
          AND j.first_seen_ms <= c.at_ms AND j.waited_until_ms > c.at_ms AND j.through_ms < {_KNOWN_AFTER_MS}
        """,  # noqa: S608  constants of the code
    ),
    Invariant(
        "I15",
        "a refund that was asked for was confirmed once its venue's list said so and every journal had come so far, or "
        "at its deadline",
        f"""
        SELECT 'order_item ' || CAST(i.id AS VARCHAR(36)) FROM item_claim c JOIN order_item i ON i.id = c.item_id
        LEFT JOIN refund_hold h ON h.item_id = i.id AND h.ended_as = 'CONFIRMED'
        WHERE c.kind <> 'REDEEM' AND c.ref = '{REQUESTED}'
          AND (h.item_id IS NULL OR (h.deadline_ms > c.at_ms AND h.list_version IS NULL))
        UNION ALL
        SELECT 'order_item ' || CAST(i.id AS VARCHAR(36)) FROM item_claim c JOIN order_item i ON i.id = c.item_id
        JOIN refund_hold h ON h.item_id = i.id AND h.ended_as = 'CONFIRMED' AND h.deadline_ms > c.at_ms
        JOIN {_JOURNALS} j ON j.venue_id = i.venue_id
        WHERE c.kind <> 'REDEEM' AND c.ref = '{REQUESTED}'
          AND j.first_seen_ms <= c.at_ms AND j.waited_until_ms > c.at_ms AND j.through_ms < h.requested_at_ms
        """,  # noqa: S608  constants of the code
    ),
    Invariant(
        "I15",
        "what ended unused is valid as long as the pass that opened its gate, which was signed so",
        """
        SELECT 'order_item ' || CAST(i.id AS VARCHAR(36)), i.valid_from, i.valid_to FROM item_claim c
        JOIN order_item i ON i.id = c.item_id JOIN pass s ON s.ticket_id = i.ticket_id
        WHERE c.kind <> 'REDEEM' AND (i.valid_to <> s.not_after OR i.valid_from <> s.not_before)
        """,
    ),
    Invariant(
        "I11",
        "a request for a refund ended as its item did: confirmed where that goes back, else refused",
        """
        SELECT 'refund_hold of order_item ' || CAST(h.item_id AS VARCHAR(36)), h.ended_as, c.kind FROM refund_hold h
        LEFT JOIN item_claim c ON c.item_id = h.item_id
        WHERE h.ended_as IS NOT NULL
          AND h.ended_as <> CASE COALESCE(c.kind, '') WHEN 'REFUND' THEN 'CONFIRMED' WHEN '' THEN '' ELSE 'REFUSED' END
        """,
    ),
    Invariant(
        "I11",
        "an item ended after it was issued, and as it was sold: given back, or kept, at its end; on request only where "
        "it is refundable; or it was never issued",
        f"""
        SELECT 'order_item ' || CAST(i.id AS VARCHAR(36)), c.kind, c.ref FROM item_claim c
        JOIN order_item i ON i.id = c.item_id
        LEFT JOIN refund_hold h ON h.item_id = i.id
        WHERE c.kind <> 'REDEEM'
          AND CASE WHEN c.ref = '{REQUESTED}' THEN NOT i.refundable
                   WHEN c.ref = '{UNISSUED}' THEN i.valid_to IS NOT NULL
                   WHEN c.kind = 'FORFEIT' THEN i.on_expiry <> 'FORFEIT'
                   ELSE i.on_expiry <> 'REFUND' AND h.item_id IS NULL END
        UNION ALL
        SELECT 'order_item ' || CAST(i.id AS VARCHAR(36)), c.kind, o.state FROM "order" o
        JOIN ticket t ON t.order_id = o.id JOIN order_item i ON i.ticket_id = t.id
        JOIN item_claim c ON c.item_id = i.id
        WHERE o.state IN ({NEVER_PAID}, 'PAID', 'ISSUING', 'ISSUE_FAILED')
          AND NOT (o.state = 'ISSUE_FAILED' AND c.ref = '{UNISSUED}')
        """,  # noqa: S608  constants of the code
    ),
    Invariant(
        "I11",
        "what was clawed back had been used, and its venue paid, which may have been undone since",
        """
        SELECT 'clawback of order_item ' || CAST(k.item_id AS VARCHAR(36)) FROM clawback k
        LEFT JOIN item_claim c ON c.item_id = k.item_id AND c.kind = 'REDEEM'
        LEFT JOIN payout_line l ON l.item_id = k.item_id AND l.kind = 'REDEEM'
        LEFT JOIN payout p ON p.id = l.payout_id AND p.state = 'PAID'
        WHERE k.item_id IS NOT NULL AND (c.item_id IS NULL OR (p.id IS NULL AND NOT EXISTS (
            SELECT 1 FROM external_transfer t JOIN transfer_attempt a ON a.transfer_id = t.id AND a.state = 'REVERSED'
            WHERE t.kind = 'PAYOUT' AND t.party_id = k.venue_id)))
        """,
    ),
    Invariant(
        "I15",
        "an issued order knows when the first of its open items ends",
        """
        SELECT 'order ' || o.number FROM "order" o
        WHERE o.state = 'ISSUED' AND o.kind = 'TICKET' AND o.first_end IS NULL AND EXISTS (
            SELECT 1 FROM ticket t JOIN order_item i ON i.ticket_id = t.id
            LEFT JOIN item_claim c ON c.item_id = i.id
            WHERE t.order_id = o.id AND c.item_id IS NULL)
        """,
    ),
)
