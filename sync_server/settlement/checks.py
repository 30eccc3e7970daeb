"""The settlement's invariants (money.md I4, I5, I6, I7, I8, I10)."""

from __future__ import annotations

from sync_server.invariants import Invariant
from sync_server.orders.checks import NEVER_PAID

CHECKS = (
    Invariant(
        "I7",
        "what is held for an item of a paid order is its venue price while nothing ended it, else nothing",
        f"""
        SELECT 'order_item ' || CAST(i.id AS VARCHAR(36)) FROM order_item i
        LEFT JOIN item_claim c ON c.item_id = i.id
        JOIN ticket t ON t.id = i.ticket_id
        JOIN "order" o ON o.id = t.order_id
        LEFT JOIN ledger_account a ON a.code = '2110' AND a.owner_id = i.id
        WHERE (c.item_id IS NULL OR (c.kind = 'REDEEM' AND NOT EXISTS (
                   SELECT 1 FROM payout_line l WHERE l.item_id = i.id AND l.kind = 'REDEEM')))
          AND o.state NOT IN ({NEVER_PAID})
          AND COALESCE(a.credits_posted_fen - a.debits_posted_fen, 0) <> i.venue_price_fen
        UNION ALL
        SELECT 'order_item ' || CAST(i.id AS VARCHAR(36)) FROM ledger_account a
        JOIN item_claim c ON c.item_id = a.owner_id
        JOIN order_item i ON i.id = c.item_id
        JOIN ticket t ON t.id = i.ticket_id
        JOIN "order" o ON o.id = t.order_id
        WHERE a.code = '2110' AND a.credits_posted_fen <> a.debits_posted_fen
          AND (c.kind <> 'REDEEM' OR EXISTS (
              SELECT 1 FROM payout_line l WHERE l.item_id = i.id AND l.kind = 'REDEEM'))
          AND o.state NOT IN ({NEVER_PAID})
        """,  # noqa: S608  the states of orders.checks
    ),
    Invariant(
        "I6",
        "what is deferred of an order's margin is what its price leaves its venues, less what its items gave back",
        """
        SELECT 'order ' || o.number FROM "order" o
        JOIN (SELECT t.order_id, SUM(i.share_fen - i.venue_price_fen) AS margin_fen,
                     SUM(CASE WHEN c.kind IN ('REFUND', 'FORFEIT') OR b.item_id IS NOT NULL
                              THEN i.share_fen - i.venue_price_fen ELSE 0 END) AS given_fen
              FROM "order" q JOIN ticket t ON t.order_id = q.id JOIN order_item i ON i.ticket_id = t.id
              LEFT JOIN item_claim c ON c.item_id = i.id
              LEFT JOIN clawback b ON b.item_id = i.id
              WHERE q.state IN ('PAID', 'ISSUED')
                 OR (q.state = 'COMPLETED' AND q.invest_basis IS NOT NULL AND q.fund_closed_at_ms IS NULL)
              GROUP BY t.order_id) m ON m.order_id = o.id
        LEFT JOIN ledger_account a ON a.code = '2120' AND a.owner_id = o.id
        WHERE COALESCE(a.credits_posted_fen - a.debits_posted_fen, 0) <> m.margin_fen - m.given_fen
        """,
    ),
    Invariant(
        "I8",
        "an order's fund holds what was bought less what was sold of it, and nothing once it is closed",
        """
        SELECT 'order ' || o.number, COALESCE(a.debits_posted_fen - a.credits_posted_fen, 0) FROM "order" o
        LEFT JOIN ledger_account a ON a.code = '1110' AND a.owner_id = o.id
        LEFT JOIN external_transfer b ON b.subject_id = o.id AND b.kind = 'FUND_BUY' AND b.state = 'SUCCEEDED'
        LEFT JOIN external_transfer e ON e.subject_id = o.id AND e.kind = 'FUND_CLOSE' AND e.state = 'SUCCEEDED'
        LEFT JOIN (SELECT f.order_id, SUM(x.amount_fen) AS sold_fen FROM fund_sale f
                   JOIN external_transfer x ON x.id = f.transfer_id AND x.kind = 'FUND_SELL' AND x.state = 'SUCCEEDED'
                   GROUP BY f.order_id) s ON s.order_id = o.id
        WHERE (o.invest_basis IS NOT NULL OR a.id IS NOT NULL) AND (
            COALESCE(a.debits_posted_fen - a.credits_posted_fen, 0)
              <> COALESCE(b.amount_fen, 0) - COALESCE(s.sold_fen, 0) - COALESCE(e.amount_fen, 0)
            OR (COALESCE(a.debits_posted_fen - a.credits_posted_fen, 0) <> 0
                AND (e.id IS NOT NULL OR o.fund_closed_at_ms IS NOT NULL)))
        """,
    ),
    Invariant(
        "I8",
        "an open fund holds what its order's venues may still be owed, and the margin where that is invested too",
        """
        SELECT 'order ' || o.number, COALESCE(a.debits_posted_fen - a.credits_posted_fen, 0), m.left_fen FROM "order" o
        JOIN external_transfer b ON b.subject_id = o.id AND b.kind = 'FUND_BUY' AND b.state = 'SUCCEEDED'
        LEFT JOIN external_transfer e ON e.subject_id = o.id AND e.kind = 'FUND_CLOSE' AND e.state = 'SUCCEEDED'
        LEFT JOIN ledger_account a ON a.code = '1110' AND a.owner_id = o.id
        JOIN (SELECT t.order_id, SUM(i.venue_price_fen) AS owed_fen,
                     SUM(CASE WHEN c.kind = 'REDEEM' AND x.state = 'SUCCEEDED'
                              THEN 0 ELSE i.venue_price_fen END) AS left_fen
              FROM "order" q JOIN ticket t ON t.order_id = q.id JOIN order_item i ON i.ticket_id = t.id
              LEFT JOIN item_claim c ON c.item_id = i.id
              LEFT JOIN external_transfer x ON x.subject_id = i.id AND x.kind = 'FUND_SELL'
              WHERE q.invest_basis IS NOT NULL AND q.fund_closed_at_ms IS NULL
              GROUP BY t.order_id) m ON m.order_id = o.id
        WHERE e.id IS NULL AND COALESCE(a.debits_posted_fen - a.credits_posted_fen, 0) <> m.left_fen
              + CASE WHEN o.invest_basis = 'DIST_PRICE' THEN o.dist_price_fen - m.owed_fen ELSE 0 END
        """,
    ),
    Invariant(
        "I8",
        "a fund's sale is of a visited venue of its order, for its venue price",
        """
        SELECT 'fund_sale ' || CAST(f.item_id AS VARCHAR(36)) FROM fund_sale f
        JOIN order_item i ON i.id = f.item_id JOIN ticket t ON t.id = i.ticket_id
        LEFT JOIN item_claim c ON c.item_id = f.item_id AND c.kind = 'REDEEM'
        LEFT JOIN external_transfer x ON x.id = f.transfer_id
        WHERE c.item_id IS NULL OR f.order_id <> t.order_id OR f.amount_fen <> i.venue_price_fen
           OR (f.transfer_id IS NOT NULL AND (x.kind <> 'FUND_SELL' OR x.amount_fen <> f.amount_fen
                                              OR x.subject_id <> f.item_id))
        """,
    ),
    Invariant(
        "I10",
        "a partner is owed what it was allotted of the profit, less what two persons said was paid",
        """
        SELECT 'party ' || p.org_number FROM party p
        LEFT JOIN ledger_account a ON a.code = '2410' AND a.owner_id = p.id
        WHERE p.kind = 'PARTNER' AND COALESCE(a.credits_posted_fen - a.debits_posted_fen, 0)
            <> (SELECT COALESCE(SUM(s.amount_fen), 0) FROM profit_allocation s WHERE s.partner_id = p.id)
             - (SELECT COALESCE(SUM(y.amount_fen), 0) FROM profit_payment y
                WHERE y.partner_id = p.id AND y.booked_at_ms IS NOT NULL)
        """,
    ),
    Invariant(
        "I4",
        "a payout line belongs to a redemption that counted and to the item that it ended, to one that is honoured, or "
        "to a visit with a pass",
        """
        SELECT 'payout_line ' || l.kind || ' of order_item ' || COALESCE(CAST(l.item_id AS VARCHAR(36)), '-')
        FROM payout_line l
        JOIN redemption r ON r.id = l.redemption_id
        LEFT JOIN item_claim c ON c.item_id = l.item_id AND c.kind = 'REDEEM'
        LEFT JOIN redemption_decision d ON d.redemption_id = l.redemption_id AND d.word = 'HONOURED'
        WHERE (l.kind <> 'REDEEM' OR (SELECT COUNT(*) FROM payout_line WHERE kind = 'REDEEM') <> (
                  SELECT COUNT(*) FROM redemption k CROSS JOIN payout_line m CROSS JOIN item_claim e
                  WHERE k.outcome = 'CLAIMED' AND m.item_id = k.item_id AND m.redemption_id = k.id
                    AND m.kind = 'REDEEM' AND e.item_id = m.item_id AND e.kind = 'REDEEM'))
          AND (COALESCE(r.item_id, l.item_id) <> l.item_id
               OR (l.kind = 'REDEEM' AND (c.item_id IS NULL OR r.item_id IS NULL OR r.outcome <> 'CLAIMED'))
               OR (l.kind = 'HONOUR' AND (d.redemption_id IS NULL OR r.outcome = 'CLAIMED'))
               OR (l.kind = 'VISIT' AND (r.item_id IS NOT NULL OR r.outcome <> 'PASS_VISIT')))
        """,  # counted in the order of the redemptions, as SQLite takes a CROSS JOIN; named only where one is wrong
    ),
    Invariant(
        "I4",
        "a redemption is marked as cleared exactly when it has a payout line; a visit with a pass may be cleared for "
        "nothing, and waits again once it is given back",
        """
        SELECT 'redemption of order_item ' || COALESCE(CAST(r.item_id AS VARCHAR(36)), '-') FROM redemption r
        WHERE r.cleared_at_ms IS NULL AND r.outcome <> 'PASS_VISIT'
          AND EXISTS (SELECT 1 FROM payout_line l WHERE l.redemption_id = r.id)
        UNION ALL
        SELECT 'redemption of order_item ' || COALESCE(CAST(r.item_id AS VARCHAR(36)), '-') FROM redemption r
        WHERE r.cleared_at_ms IS NOT NULL AND r.outcome <> 'PASS_VISIT'
          AND (r.outcome <> 'CLAIMED' OR (SELECT COUNT(*) FROM payout_line WHERE kind = 'REDEEM') <> (
               SELECT COUNT(*) FROM redemption WHERE outcome = 'CLAIMED' AND cleared_at_ms IS NOT NULL))
          AND NOT EXISTS (SELECT 1 FROM payout_line l WHERE l.redemption_id = r.id)
        """,  # as many as their lines, of which each has another: then none is without, and nobody needs to look
    ),
    Invariant(
        "I5",
        "a payout is the sum of its lines, and once it is sealed its transfer moves exactly that to its venue",
        """
        SELECT 'payout ' || p.number FROM payout p
        LEFT JOIN (SELECT payout_id, SUM(net_fen) AS net_fen FROM (
                       SELECT payout_id, net_fen FROM payout_line
                       UNION ALL SELECT payout_id, net_fen FROM payout_adjustment) every
                   GROUP BY payout_id) l ON l.payout_id = p.id
        LEFT JOIN external_transfer t ON t.id = p.transfer_id
        WHERE (l.payout_id IS NULL) <> (p.state = 'REPLACED')
           OR (p.state <> 'REPLACED' AND l.net_fen <> p.total_fen)
           OR (p.state = 'REPLACED' AND t.state <> 'VOID')
           OR (p.state = 'OPEN' AND p.transfer_id IS NOT NULL)
           OR (p.state <> 'OPEN' AND p.total_fen > 0
               AND (t.id IS NULL OR t.amount_fen <> p.total_fen OR t.party_id <> p.venue_id
                    OR t.subject_id <> p.id OR t.kind <> 'PAYOUT'))
           OR (p.state = 'PAID' AND p.total_fen > 0 AND t.state <> 'SUCCEEDED')
        """,
    ),
    Invariant(
        "I5",
        "a payout that was replaced is paid by one other to the same venue, of the same sum",
        """
        SELECT 'payout ' || p.number FROM payout p JOIN payout n ON n.id = p.replaced_by
        WHERE n.venue_id <> p.venue_id OR n.total_fen <> p.total_fen OR n.id = p.id
        """,
    ),
    Invariant(
        "I5",
        "what a venue was paid is what its payable was debited: its transfers that succeeded or were undone, and what "
        "was clawed back",
        """
        SELECT 'ledger_account ' || a.name, a.debits_posted_fen, COALESCE(t.paid_fen, 0) FROM ledger_account a
        LEFT JOIN (SELECT party_id, SUM(fen) AS paid_fen FROM (
                       SELECT party_id, amount_fen AS fen FROM external_transfer
                       WHERE kind = 'PAYOUT' AND state = 'SUCCEEDED'
                       UNION ALL SELECT t.party_id, t.amount_fen FROM transfer_attempt a
                       JOIN external_transfer t ON t.id = a.transfer_id
                       WHERE a.state = 'REVERSED' AND t.kind = 'PAYOUT'
                       UNION ALL SELECT venue_id, netted_fen FROM clawback) every
                   GROUP BY party_id) t ON t.party_id = a.owner_id
        WHERE a.code = '2210' AND a.debits_posted_fen <> COALESCE(t.paid_fen, 0)
        """,
    ),
    Invariant(
        "I5",
        "what a claw-back kept is in payouts of its venue; it is of a visit that was paid and whose share goes back, "
        "or of what two persons say was paid twice",
        """
        SELECT 'clawback ' || CAST(c.id AS VARCHAR(36)) FROM clawback c
        LEFT JOIN (SELECT clawback_id, -SUM(net_fen) AS fen FROM payout_adjustment
                   WHERE kind = 'CLAWBACK' GROUP BY clawback_id) k ON k.clawback_id = c.id
        WHERE COALESCE(k.fen, 0) <> c.netted_fen
           OR EXISTS (SELECT 1 FROM payout_adjustment j JOIN payout p ON p.id = j.payout_id
                      WHERE j.clawback_id = c.id AND p.venue_id <> c.venue_id)
        UNION ALL
        SELECT 'clawback ' || CAST(c.id AS VARCHAR(36)) FROM clawback c
        LEFT JOIN ledger_txn b ON b.txn_key = 'case\\:' || REPLACE(CAST(c.case_id AS VARCHAR(36)), '-', '')
        LEFT JOIN ledger_account a ON a.code = '1220' AND a.owner_id = c.venue_id
        LEFT JOIN posting g ON g.txn_id = b.id AND g.account_id = a.id AND g.layer = 'posted'
        WHERE c.case_id IS NOT NULL AND COALESCE(g.amount_fen, 0) <> c.owed_fen
        UNION ALL
        SELECT 'clawback of order_item ' || CAST(c.item_id AS VARCHAR(36)) FROM clawback c
        JOIN order_item i ON i.id = c.item_id
        LEFT JOIN payout_line l ON l.item_id = c.item_id AND l.kind = 'REDEEM'
        JOIN ticket t ON t.id = i.ticket_id JOIN "order" o ON o.id = t.order_id
        LEFT JOIN external_transfer x ON x.subject_id = c.id AND x.kind = 'REFUND'
        LEFT JOIN ledger_txn b
               ON b.txn_key = 'clawback\\:' || REPLACE(CAST(i.id AS VARCHAR(36)), '-', '') || '\\:refund'
        WHERE l.net_fen IS NULL OR l.net_fen <> c.owed_fen
           OR (COALESCE(o.funding, '') <> 'PREPAID' AND COALESCE(x.amount_fen, 0) <> i.share_fen + i.fee_back_fen)
           OR (o.funding = 'PREPAID' AND b.id IS NULL)
        """,
    ),
    Invariant(
        "I5",
        "what a month's pool holds is what its venues get of it, and it is for visits",
        """
        SELECT 'visit_pool ' || v.month, v.amount_fen FROM visit_pool v
        JOIN product p ON p.id = v.product_id
        WHERE v.amount_fen <> (
            SELECT COALESCE(SUM(g.amount_fen), 0) FROM venue w
            JOIN ledger_txn t ON t.txn_key = 'pool\\:' || CAST(p.number AS VARCHAR(8)) || '-' || v.month || '\\:'
                                             || REPLACE(CAST(w.id AS VARCHAR(36)), '-', '')
            JOIN posting g ON g.txn_id = t.id AND g.amount_fen > 0)
        """,
    ),
    Invariant(
        "I10",
        "a pass that ended before the newest month whose income is booked defers nothing more",
        """
        SELECT 'ledger_account ' || a.name, o.number FROM "order" o
        JOIN ticket t ON t.order_id = o.id JOIN pass s ON s.ticket_id = t.id
        JOIN ledger_account a ON a.code = '2510' AND a.owner_id = o.id
        WHERE o.kind = 'PASS' AND o.state = 'ISSUED' AND a.credits_posted_fen <> a.debits_posted_fen
          AND s.not_after <= (SELECT MAX(end_minute) FROM income_month WHERE done_at_ms IS NOT NULL)
        """,
    ),
    Invariant(
        "I5",
        "what a distributor bears was honoured, and is charged once it says so",
        """
        SELECT 'charge_back ' || l.kind || ' of order_item ' || CAST(l.item_id AS VARCHAR(36)) FROM charge_back c
        JOIN payout_line l ON l.redemption_id = c.redemption_id
        WHERE l.kind <> 'HONOUR' OR c.amount_fen <> l.gross_fen
        """,
    ),
    Invariant(
        "I10",
        "a venue owes what was clawed back and neither kept nor ended yet",
        """
        SELECT 'ledger_account ' || a.name FROM ledger_account a
        LEFT JOIN (SELECT venue_id, SUM(owed_fen - netted_fen - ended_fen) AS fen FROM clawback GROUP BY venue_id) c
               ON c.venue_id = a.owner_id
        WHERE a.code = '1220' AND a.debits_posted_fen - a.credits_posted_fen <> COALESCE(c.fen, 0)
        """,
    ),
    Invariant(
        "I10",
        "what a party owed ended by the word of two persons, and what a venue owed is booked as paid by bank or lost",
        """
        SELECT 'debt_end ' || CAST(e.id AS VARCHAR(36)) FROM debt_end e
        JOIN party v ON v.id = e.party_id
        LEFT JOIN approval a ON a.id = e.id AND a.subject = 'party\\:' || REPLACE(CAST(v.id AS VARCHAR(36)), '-', '')
             AND a.act IN ('debt.repay', 'debt.write_off')
        LEFT JOIN ledger_txn l ON l.txn_key = CASE a.act WHEN 'debt.repay' THEN 'repaid\\:' ELSE 'writeoff\\:' END
             || REPLACE(CAST(e.id AS VARCHAR(36)), '-', '')
        LEFT JOIN ledger_account r ON r.code = '1220' AND r.owner_id = v.id
        LEFT JOIN posting g ON g.txn_id = l.id AND g.account_id = r.id AND g.layer = 'posted'
        LEFT JOIN bank_voucher b ON b.txn_key = l.txn_key
        WHERE a.id IS NULL OR (a.state = 'CONFIRMED') <> (e.booked_at_ms IS NOT NULL)
           OR (a.act = 'debt.repay' AND a.state = 'CONFIRMED') <> (b.request_id IS NOT NULL)
           OR COALESCE(g.amount_fen, 0)
              <> CASE WHEN v.kind = 'VENUE' AND e.booked_at_ms IS NOT NULL THEN e.beyond_fen - e.amount_fen ELSE 0 END
        UNION ALL
        SELECT 'party ' || v.org_number FROM party v
        WHERE (SELECT COALESCE(SUM(c.ended_fen), 0) FROM clawback c WHERE c.venue_id = v.id)
            + (SELECT COALESCE(SUM(b.amount_fen), 0) FROM charge_back b
               WHERE b.distributor_id = v.id AND b.given_up_at_ms IS NOT NULL)
           <> (SELECT COALESCE(SUM(e.amount_fen - e.beyond_fen), 0) FROM debt_end e
               WHERE e.party_id = v.id AND e.booked_at_ms IS NOT NULL)
        UNION ALL
        SELECT 'debt_end ' || CAST(e.id AS VARCHAR(36)) FROM debt_end e
        LEFT JOIN payout_adjustment j ON j.id = e.id AND j.kind = 'OVERPAID'
        LEFT JOIN payout p ON p.id = j.payout_id AND p.venue_id = e.party_id
        WHERE COALESCE(j.net_fen, 0) <> e.beyond_fen OR (j.id IS NULL) <> (p.id IS NULL)
        UNION ALL
        SELECT 'payout_adjustment ' || CAST(j.id AS VARCHAR(36)) FROM payout_adjustment j
        LEFT JOIN debt_end e ON e.id = j.id WHERE j.kind = 'OVERPAID' AND e.id IS NULL
        """,
    ),
    Invariant(
        "I4",
        "an item's money goes back exactly when its claim says so, its whole share, its fee where that goes too, once",
        """
        SELECT 'order_item ' || CAST(i.id AS VARCHAR(36)), 1 FROM external_transfer x
        JOIN order_item i ON i.id = x.subject_id
        JOIN ticket t ON t.id = i.ticket_id JOIN "order" o ON o.id = t.order_id
        LEFT JOIN item_claim c ON c.item_id = i.id AND c.kind = 'REFUND' AND COALESCE(o.funding, '') <> 'PREPAID'
        WHERE x.kind = 'REFUND' AND c.item_id IS NULL
        UNION ALL
        SELECT 'order_item ' || CAST(i.id AS VARCHAR(36)), COUNT(x.id) FROM item_claim c
        JOIN order_item i ON i.id = c.item_id
        JOIN ticket t ON t.id = i.ticket_id JOIN "order" o ON o.id = t.order_id
        LEFT JOIN external_transfer x ON x.subject_id = i.id AND x.kind = 'REFUND'
        WHERE c.kind = 'REFUND' AND COALESCE(o.funding, '') <> 'PREPAID'
        GROUP BY i.id, i.share_fen, i.fee_back_fen
        HAVING COUNT(x.id) <> 1 OR SUM(x.amount_fen) <> i.share_fen + i.fee_back_fen
        """,
    ),
    Invariant(
        "I4",
        "a prepaid item's money is its distributor's again exactly when its claim says so, its whole share",
        """
        SELECT 'order_item ' || CAST(i.id AS VARCHAR(36)), p.amount_fen FROM "order" o
        CROSS JOIN ticket t CROSS JOIN order_item i
        LEFT JOIN item_claim c ON c.item_id = i.id AND c.kind = 'REFUND'
        LEFT JOIN ledger_txn l ON l.txn_key = 'refund\\:' || REPLACE(CAST(i.id AS VARCHAR(36)), '-', '')
        LEFT JOIN ledger_account a ON a.code = '2010' AND a.owner_id = o.distributor_id
        LEFT JOIN posting p ON p.txn_id = l.id AND p.account_id = a.id AND p.layer = 'posted'
        WHERE o.funding = 'PREPAID' AND t.order_id = o.id AND i.ticket_id = t.id
          AND COALESCE(p.amount_fen, 0) <> CASE WHEN c.item_id IS NULL THEN 0 ELSE -(i.share_fen + i.fee_back_fen) END
        """,
    ),
    Invariant(
        "I10",
        "an order that ended holds back no margin, and one that was given back owes nobody anything",
        """
        SELECT 'ledger_account ' || a.name, o.number FROM ledger_account a JOIN "order" o ON o.id = a.owner_id
        WHERE a.code = '2120' AND a.credits_posted_fen <> a.debits_posted_fen
          AND o.state IN ('COMPLETED', 'CLOSED_REFUNDED', 'ISSUE_FAILED')
          AND (o.invest_basis IS NULL OR o.fund_closed_at_ms IS NOT NULL OR o.issued_at_ms IS NULL)
        UNION ALL
        SELECT 'ledger_account ' || a.name, o.number FROM ledger_account a JOIN "order" o ON o.id = a.owner_id
        WHERE a.code IN ('2320', '2510') AND a.credits_posted_fen <> a.debits_posted_fen AND o.state = 'REFUNDED'
        """,
    ),
    Invariant(
        "I10",
        "an order is closed as refunded exactly when every item is, and completed when every item ended; one that "
        "could not be issued gives every item back",
        """
        SELECT 'order ' || o.number FROM order_item i CROSS JOIN ticket t CROSS JOIN "order" o
        WHERE t.id = i.ticket_id AND o.id = t.order_id AND o.state = 'COMPLETED'
          AND NOT EXISTS (SELECT 1 FROM item_claim c WHERE c.item_id = i.id)
        UNION ALL
        SELECT 'order ' || o.number FROM "order" o
        JOIN ticket t ON t.order_id = o.id JOIN order_item i ON i.ticket_id = t.id
        LEFT JOIN item_claim c ON c.item_id = i.id
        WHERE o.state IN ('CLOSED_REFUNDED', 'ISSUE_FAILED') AND (COALESCE(c.kind, '') <> 'REFUND'
           OR (o.state = 'CLOSED_REFUNDED' AND COALESCE(o.funding, '') <> 'PREPAID' AND NOT EXISTS (
               SELECT 1 FROM external_transfer x
               WHERE x.subject_id = i.id AND x.kind = 'REFUND' AND x.state = 'SUCCEEDED')))
        """,  # from the items that nothing ended, few as they are, to their orders: SQLite keeps a CROSS JOIN's order
    ),
    Invariant(
        "I10",
        "an issued order that waits for the end of its items has one that did not end, or a visit not cleared yet",
        """
        SELECT 'order ' || o.number FROM "order" o
        WHERE o.state = 'ISSUED' AND o.kind = 'TICKET' AND o.first_end IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM ticket t JOIN order_item i ON i.ticket_id = t.id
            LEFT JOIN item_claim c ON c.item_id = i.id
            LEFT JOIN payout_line l ON l.item_id = i.id AND l.kind = 'REDEEM'
            WHERE t.order_id = o.id AND (c.item_id IS NULL OR (c.kind = 'REDEEM' AND l.item_id IS NULL)))
        """,
    ),
)
