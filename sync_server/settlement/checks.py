"""The settlement's invariants (money.md I4, I5, I7)."""

from __future__ import annotations

from sync_server.invariants import Invariant

CHECKS = (
    Invariant(
        "I4",
        "an item that ended as redeemed names a redemption that counted, and no other redemption of it counted",
        """
        SELECT 'redemption of order_item ' || CAST(item_id AS VARCHAR(36)), COUNT(*) FROM redemption
        WHERE outcome = 'CLAIMED' GROUP BY item_id HAVING COUNT(*) > 1
        UNION ALL
        SELECT 'redemption of order_item ' || CAST(r.item_id AS VARCHAR(36)), 0 FROM redemption r
        LEFT JOIN item_claim c ON c.item_id = r.item_id AND c.kind = 'REDEEM'
        WHERE r.outcome = 'CLAIMED' AND c.item_id IS NULL
        """,
    ),
    Invariant(
        "I7",
        "what is held for an item of a paid order is its venue price while nothing ended it, else nothing",
        """
        SELECT 'order_item ' || CAST(i.id AS VARCHAR(36))
        FROM order_item i
        JOIN ticket t ON t.id = i.ticket_id
        JOIN "order" o ON o.id = t.order_id
        LEFT JOIN item_claim c ON c.item_id = i.id
        LEFT JOIN payout_line l ON l.item_id = i.id
        LEFT JOIN ledger_account a ON a.code = '2110' AND a.owner_id = i.id
        WHERE o.state <> 'PENDING_PAYMENT'
          AND COALESCE(a.credits_posted_fen - a.debits_posted_fen, 0)
              <> CASE WHEN c.item_id IS NULL OR l.item_id IS NULL THEN i.venue_price_fen ELSE 0 END
        """,
    ),
)
