"""The settlement's invariants (money.md I4, I5, I7, I10)."""

from __future__ import annotations

from sync_server.invariants import Invariant
from sync_server.orders.checks import NEVER_PAID

CHECKS = (
    Invariant(
        "I7",
        "what is held for an item of a paid order is its venue price while nothing ended it, else nothing",
        f"""
        SELECT 'order_item ' || CAST(i.id AS VARCHAR(36))
        FROM order_item i
        JOIN ticket t ON t.id = i.ticket_id
        JOIN "order" o ON o.id = t.order_id
        LEFT JOIN item_claim c ON c.item_id = i.id
        LEFT JOIN payout_line l ON l.item_id = i.id AND l.kind = 'REDEEM'
        LEFT JOIN ledger_account a ON a.code = '2110' AND a.owner_id = i.id
        WHERE o.state NOT IN ({NEVER_PAID}) AND COALESCE(a.credits_posted_fen - a.debits_posted_fen, 0)
              <> CASE WHEN c.item_id IS NULL THEN i.venue_price_fen
                      WHEN c.kind = 'REDEEM' AND l.item_id IS NULL THEN i.venue_price_fen ELSE 0 END
        """,  # noqa: S608  the states of orders.checks
    ),
    Invariant(
        "I4",
        "a payout line belongs to a redemption that counted and to the item that it ended, or to one that is honoured",
        """
        SELECT 'payout_line of order_item ' || CAST(l.item_id AS VARCHAR(36)) FROM payout_line l
        JOIN redemption r ON r.id = l.redemption_id
        LEFT JOIN item_claim c ON c.item_id = l.item_id AND c.kind = 'REDEEM'
        LEFT JOIN redemption_decision d ON d.redemption_id = l.redemption_id AND d.word = 'HONOURED'
        WHERE r.item_id <> l.item_id
           OR (l.kind = 'REDEEM' AND (c.item_id IS NULL OR r.outcome <> 'CLAIMED'))
           OR (l.kind = 'HONOUR' AND (d.redemption_id IS NULL OR r.outcome = 'CLAIMED'))
        """,
    ),
    Invariant(
        "I4",
        "a redemption is marked as cleared exactly when it has a payout line",
        """
        SELECT 'redemption of order_item ' || CAST(r.item_id AS VARCHAR(36)) FROM redemption r
        LEFT JOIN payout_line l ON l.redemption_id = r.id
        WHERE (r.cleared_at_ms IS NULL) <> (l.redemption_id IS NULL)
        """,
    ),
    Invariant(
        "I5",
        "a payout is the sum of its lines, and its transfer moves exactly that to its venue",
        """
        SELECT 'payout ' || p.number FROM payout p
        LEFT JOIN (SELECT payout_id, SUM(net_fen) AS net_fen FROM payout_line GROUP BY payout_id) l
               ON l.payout_id = p.id
        LEFT JOIN external_transfer t ON t.id = p.transfer_id
        WHERE COALESCE(l.net_fen, -1) <> p.total_fen
           OR (p.total_fen > 0 AND (t.id IS NULL OR t.amount_fen <> p.total_fen OR t.party_id <> p.venue_id
                                    OR t.subject_id <> p.id OR t.kind <> 'PAYOUT'))
           OR (p.state = 'PAID' AND p.total_fen > 0 AND t.state <> 'SUCCEEDED')
        """,
    ),
    Invariant(
        "I5",
        "what a venue was paid is what its payable was debited: the sum of its transfers that succeeded",
        """
        SELECT 'ledger_account ' || a.name, a.debits_posted_fen, COALESCE(t.paid_fen, 0) FROM ledger_account a
        LEFT JOIN (SELECT party_id, SUM(amount_fen) AS paid_fen FROM external_transfer
                   WHERE kind = 'PAYOUT' AND state = 'SUCCEEDED' GROUP BY party_id) t ON t.party_id = a.owner_id
        WHERE a.code = '2210' AND a.debits_posted_fen <> COALESCE(t.paid_fen, 0)
        """,
    ),
    Invariant(
        "I4",
        "an item's money goes back exactly when its claim says so, its whole share and once",
        """
        SELECT 'order_item ' || CAST(i.id AS VARCHAR(36)), COUNT(x.id) FROM order_item i
        JOIN ticket t ON t.id = i.ticket_id JOIN "order" o ON o.id = t.order_id
        LEFT JOIN item_claim c ON c.item_id = i.id AND c.kind = 'REFUND' AND COALESCE(o.funding, '') <> 'PREPAID'
        LEFT JOIN external_transfer x ON x.subject_id = i.id AND x.kind = 'REFUND'
        GROUP BY i.id, i.share_fen, c.item_id
        HAVING (c.item_id IS NULL AND COUNT(x.id) > 0)
            OR (c.item_id IS NOT NULL AND (COUNT(x.id) <> 1 OR SUM(x.amount_fen) <> i.share_fen))
        """,
    ),
    Invariant(
        "I4",
        "a prepaid item's money is its distributor's again exactly when its claim says so, its whole share",
        """
        SELECT 'order_item ' || CAST(i.id AS VARCHAR(36)), p.amount_fen FROM order_item i
        JOIN ticket t ON t.id = i.ticket_id JOIN "order" o ON o.id = t.order_id AND o.funding = 'PREPAID'
        LEFT JOIN item_claim c ON c.item_id = i.id AND c.kind = 'REFUND'
        LEFT JOIN ledger_txn l ON l.txn_key = 'refund\\:' || REPLACE(CAST(i.id AS VARCHAR(36)), '-', '')
        LEFT JOIN ledger_account a ON a.code = '2010' AND a.owner_id = o.distributor_id
        LEFT JOIN posting p ON p.txn_id = l.id AND p.account_id = a.id AND p.layer = 'posted'
        WHERE COALESCE(p.amount_fen, 0) <> CASE WHEN c.item_id IS NULL THEN 0 ELSE -i.share_fen END
        """,
    ),
    Invariant(
        "I10",
        "an order that ended holds back no margin, and one that was given back owes nobody anything",
        """
        SELECT 'ledger_account ' || a.name, o.number FROM ledger_account a JOIN "order" o ON o.id = a.owner_id
        WHERE a.credits_posted_fen <> a.debits_posted_fen AND (
            (a.code = '2120' AND o.state IN ('COMPLETED', 'CLOSED_REFUNDED'))
            OR (a.code IN ('2320', '2510') AND o.state = 'REFUNDED'))
        """,
    ),
    Invariant(
        "I10",
        "an order is closed as refunded exactly when every item is, and completed when every item ended",
        """
        SELECT 'order ' || o.number FROM "order" o
        JOIN ticket t ON t.order_id = o.id JOIN order_item i ON i.ticket_id = t.id
        LEFT JOIN item_claim c ON c.item_id = i.id
        LEFT JOIN external_transfer x ON x.subject_id = i.id AND x.kind = 'REFUND'
        WHERE (o.state = 'COMPLETED' AND c.item_id IS NULL)
           OR (o.state = 'CLOSED_REFUNDED' AND COALESCE(c.kind, '') <> 'REFUND')
           OR (o.state = 'CLOSED_REFUNDED' AND COALESCE(o.funding, '') <> 'PREPAID'
               AND (x.state IS NULL OR x.state <> 'SUCCEEDED'))
        """,
    ),
)
