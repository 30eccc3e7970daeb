"""Visits with annual passes cost what is booked of them, and those that staff gave back nothing (money.md I5, I14)."""

from __future__ import annotations

from sync_server.invariants import Invariant
from wire.messages import EntryKind

_GIVEN_BACK = f"""
    (EXISTS (SELECT 1 FROM entry b WHERE b.device_id = r.device_id AND b.incarnation = r.incarnation
             AND b.ref_seq = r.seq AND b.kind = {EntryKind.RETURNED:d})
     OR EXISTS (SELECT 1 FROM far_outcome b WHERE b.device_id = r.device_id AND b.of_incarnation = r.incarnation
                AND b.of_seq = r.seq AND b.kind = {EntryKind.RETURNED:d}))
"""  # noqa: S608  a number of our own


CHECKS = (
    Invariant(
        "P20",
        "visits cost a tariff, or a pool, by the word of two persons",
        """
        SELECT 'visit_tariff of product ' || CAST(p.number AS VARCHAR(20)), t.tariff_fen
        FROM visit_tariff t JOIN product p ON p.id = t.product_id
        WHERE NOT EXISTS (
            SELECT 1 FROM visit_tariff_asked q JOIN approval a ON a.id = q.approval_id
            WHERE q.venue_id = t.venue_id AND q.tariff_fen = t.tariff_fen AND a.act = 'visits.tariffs'
              AND a.state = 'CONFIRMED' AND a.subject = 'product\\:' || CAST(p.number AS VARCHAR(20)))
        UNION ALL
        SELECT 'visit_pool of product ' || CAST(p.number AS VARCHAR(20)) || ' for ' || v.month, v.amount_fen
        FROM visit_pool v JOIN product p ON p.id = v.product_id
        WHERE NOT EXISTS (
            SELECT 1 FROM approval a WHERE a.act = 'visits.pool' AND a.state = 'CONFIRMED'
            AND a.subject LIKE 'pool\\:' || CAST(p.number AS VARCHAR(20)) || '\\:' || v.month || '\\:%\\:'
                               || CAST(v.amount_fen AS VARCHAR(20)))
        """,
    ),
    Invariant(
        "I5",
        "each visit with a pass is booked as its line says: its tariff, to its venue, less the fee",
        """
        SELECT 'ledger_txn visit\\:' || ENCODE(l.redemption_id, 'hex'), l.gross_fen, l.fee_fen
        FROM redemption r JOIN payout_line l ON l.redemption_id = r.id
        WHERE r.outcome = 'PASS_VISIT' AND l.kind = 'VISIT' AND (l.gross_fen, l.fee_fen, l.net_fen) <> (
            SELECT COALESCE(SUM(CASE a.code WHEN '5040' THEN g.amount_fen END), 0),
                   COALESCE(SUM(CASE a.code WHEN '4020' THEN -g.amount_fen END), 0),
                   COALESCE(SUM(CASE WHEN a.code = '2210' AND a.owner_id = r.venue_id THEN -g.amount_fen END), 0)
            FROM ledger_txn t JOIN posting g ON g.txn_id = t.id AND g.layer = 'posted'
            JOIN ledger_account a ON a.id = g.account_id
            WHERE t.txn_key = 'visit\\:' || ENCODE(l.redemption_id, 'hex'))
        """,
    ),
    Invariant(
        "I14",
        "a visit with a pass that staff gave back costs nothing once it is cleared, any other what its line says",
        f"""
        SELECT 'redemption ' || ENCODE(r.id, 'hex') FROM redemption r
        JOIN payout_line l ON l.redemption_id = r.id LEFT JOIN clawback c ON c.redemption_id = r.id
        WHERE r.outcome = 'PASS_VISIT'
          AND CASE WHEN {_GIVEN_BACK} THEN c.id IS NULL AND r.cleared_at_ms IS NOT NULL
                   ELSE c.id IS NOT NULL OR r.cleared_at_ms IS NULL END
        """,  # noqa: S608  the constant above
    ),
    Invariant(
        "I14",
        "what a visit that was given back had cost is booked back by name, and its venue owes what it had got",
        """
        SELECT 'clawback of redemption ' || ENCODE(c.redemption_id, 'hex'), c.owed_fen
        FROM clawback c LEFT JOIN payout_line l ON l.redemption_id = c.redemption_id AND l.kind = 'VISIT'
        LEFT JOIN ledger_txn v ON v.txn_key = 'visit\\:' || ENCODE(c.redemption_id, 'hex')
        LEFT JOIN payout p ON p.id = l.payout_id
        LEFT JOIN ledger_txn t ON t.txn_key = 'returned\\:' || ENCODE(c.redemption_id, 'hex')
        LEFT JOIN posting g ON g.txn_id = t.id AND g.layer = 'posted'
        LEFT JOIN ledger_account a ON a.id = g.account_id
        WHERE c.redemption_id IS NOT NULL
        GROUP BY c.redemption_id, c.venue_id, c.owed_fen, l.net_fen, p.venue_id, v.id, t.reverses
        HAVING COALESCE(l.net_fen, -1) <> c.owed_fen OR p.venue_id <> c.venue_id OR t.reverses IS NULL
            OR t.reverses <> v.id
            OR COALESCE(SUM(CASE WHEN a.code = '1220' AND a.owner_id = c.venue_id THEN g.amount_fen END), 0)
               <> c.owed_fen
        """,
    ),
)
