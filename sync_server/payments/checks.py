"""The transfers' invariants (money.md I12)."""

from __future__ import annotations

from sync_server.invariants import Invariant

CHECKS = (
    Invariant(
        "I12",
        "a transfer has at most one attempt whose outcome is open, and at most one that succeeded",
        """
        SELECT 'external_transfer ' || CAST(transfer_id AS VARCHAR(36)) FROM transfer_attempt
        GROUP BY transfer_id
        HAVING SUM(CASE WHEN state IN ('SENT', 'UNKNOWN') THEN 1 ELSE 0 END) > 1
            OR SUM(CASE WHEN state = 'SUCCEEDED' THEN 1 ELSE 0 END) > 1
        """,
    ),
    Invariant(
        "I12",
        "a transfer that succeeded has the provider's reference, one attempt that succeeded, and is posted",
        """
        SELECT 'external_transfer ' || CAST(t.id AS VARCHAR(36)) FROM external_transfer t
        WHERE (t.state = 'SUCCEEDED') <> (
            t.provider_ref IS NOT NULL
            AND EXISTS (SELECT 1 FROM transfer_attempt a
                        WHERE a.transfer_id = t.id AND a.state = 'SUCCEEDED' AND a.provider_ref = t.provider_ref)
            AND (EXISTS (SELECT 1 FROM ledger_txn l WHERE l.txn_key = t.subject_key)
                 OR (t.amount_fen = 0 AND t.yield_fen = 0))
        )
        """,
    ),
    Invariant(
        "I12",
        "a transfer that was given up is void in the book, and outgoing ones by the word of two persons",
        """
        SELECT 'external_transfer ' || CAST(t.id AS VARCHAR(36)) FROM external_transfer t
        WHERE t.state = 'VOID' AND (
            (t.amount_fen > 0
             AND NOT EXISTS (SELECT 1 FROM ledger_txn l WHERE l.txn_key = t.subject_key || '\\:void'))
            OR (t.kind NOT IN ('CHARGE', 'COLLECT', 'TOP_UP') AND NOT EXISTS (
                SELECT 1 FROM approval a WHERE a.state = 'CONFIRMED'
                AND a.act IN ('transfer.abandon', 'transfer.other_amount', 'transfer.undo', 'sweep.returned')
                AND (a.act = 'sweep.returned') = (t.kind = 'SWEEP_IN')
                AND (a.subject || '\\:') LIKE 'transfer\\:' || REPLACE(CAST(t.id AS VARCHAR(36)), '-', '') || '\\:%')))
        """,
    ),
    Invariant(
        "I12",
        "what was paid by bank is recorded by two persons with its voucher, and booked there",
        """
        SELECT 'transfer_attempt ' || a.out_no FROM transfer_attempt a
        JOIN external_transfer t ON t.id = a.transfer_id
        LEFT JOIN remittance r ON r.transfer_id = a.transfer_id AND r.n = a.n
        LEFT JOIN bank_voucher v ON v.request_id = r.id AND v.number = a.provider_ref
             AND v.txn_key = CASE WHEN a.state <> 'SUCCEEDED' THEN 'double\\:' || a.out_no ELSE t.subject_key END
        LEFT JOIN approval p ON p.id = r.id AND p.act = 'transfer.remit' AND p.state = 'CONFIRMED'
        WHERE a.provider = 'OFFLINE' AND (
            v.request_id IS NULL OR p.id IS NULL OR a.state NOT IN ('SUCCEEDED', 'EXTRA', 'RETURNED')
            OR p.subject <> 'transfer:' || REPLACE(CAST(t.id AS VARCHAR(36)), '-', '')
            OR NOT EXISTS (SELECT 1 FROM ledger_txn l JOIN posting g ON g.txn_id = l.id AND g.layer = 'posted'
                           JOIN ledger_account c ON c.id = g.account_id AND c.code = '1030'
                           WHERE l.txn_key = v.txn_key AND g.amount_fen
                               = CASE WHEN t.kind = 'CHARGE' THEN t.amount_fen ELSE -t.amount_fen END))
        UNION ALL
        SELECT 'transfer_attempt ' || a.out_no FROM transfer_attempt a
        JOIN external_transfer t ON t.id = a.transfer_id
        WHERE a.provider <> 'OFFLINE' AND a.provider <> t.provider
        """,
    ),
    Invariant(
        "I12",
        "what moved beside a transfer is booked: as suspense, or as a payment that came too late",
        """
        SELECT 'transfer_attempt ' || a.out_no FROM transfer_attempt a JOIN external_transfer t ON t.id = a.transfer_id
        WHERE a.state IN ('EXTRA', 'RETURNED') AND (
            a.provider_ref IS NULL
            OR (NOT (t.state = 'VOID' AND t.kind IN ('CHARGE', 'COLLECT'))
                AND NOT EXISTS (SELECT 1 FROM ledger_txn l WHERE l.txn_key = 'double:' || a.out_no)))
        """,
    ),
    Invariant(
        "I18",
        "what was undone is reversed by link, each time by the word of two persons",
        """
        SELECT 'transfer_attempt ' || a.out_no FROM transfer_attempt a
        LEFT JOIN ledger_txn u ON u.txn_key = a.undone_key
        LEFT JOIN ledger_txn r ON r.reverses = u.id
        WHERE a.state = 'REVERSED' AND (r.id IS NULL OR
            (SELECT COUNT(*) FROM transfer_attempt b WHERE b.transfer_id = a.transfer_id AND b.state = 'REVERSED') <> (
                SELECT COUNT(*) FROM approval p WHERE p.act = 'transfer.undo' AND p.state = 'CONFIRMED'
                AND p.subject LIKE 'transfer\\:' || REPLACE(CAST(a.transfer_id AS VARCHAR(36)), '-', '') || '\\:%'))
        """,
    ),
    Invariant(
        "P12",
        "money in transit left the platform's account at one provider, has not arrived at the other nor come back",
        """
        SELECT 'ledger_account 1090: ' || CAST(found.booked_fen - found.moved_fen AS VARCHAR(20)) || ' fen too much'
        FROM (SELECT (SELECT COALESCE(SUM(debits_posted_fen - credits_posted_fen), 0) FROM ledger_account
                      WHERE code = '1090') AS booked_fen,
                     (SELECT COALESCE(SUM(CASE WHEN kind = 'SWEEP_OUT' THEN amount_fen ELSE -amount_fen END), 0)
                      FROM external_transfer
                      WHERE kind IN ('SWEEP_OUT', 'SWEEP_IN')
                        AND (state = 'SUCCEEDED' OR (kind = 'SWEEP_IN' AND state = 'VOID'))) AS moved_fen) found
        WHERE found.booked_fen <> found.moved_fen
        """,
    ),
    Invariant(
        "P12",
        "what is to arrive is what left, once",
        """
        SELECT 'external_transfer ' || CAST(i.id AS VARCHAR(36)) FROM external_transfer i
        WHERE i.kind = 'SWEEP_IN' AND 1 <> (
            SELECT COUNT(*) FROM external_transfer o
            WHERE o.kind = 'SWEEP_OUT' AND o.subject_id = i.subject_id AND o.amount_fen = i.amount_fen
            AND o.account_ref = i.provider AND o.state = 'SUCCEEDED')
        """,
    ),
    Invariant(
        "I12",
        "what a distributor paid in by bank, or got back, is booked once, whole, and by the word of two persons",
        """
        SELECT 'bank_top_up ' || CAST(b.id AS VARCHAR(36)) FROM bank_top_up b
        LEFT JOIN approval p ON p.act = CASE WHEN b.amount_fen > 0 THEN 'top_up.record' ELSE 'top_up.pay_back' END
              AND p.subject = CASE WHEN b.amount_fen > 0 THEN 'topup\\:' ELSE 'paidback\\:' END
                              || REPLACE(CAST(b.id AS VARCHAR(36)), '-', '')
        LEFT JOIN ledger_txn l ON l.txn_key = p.subject
        LEFT JOIN ledger_account a ON a.code = '2010' AND a.owner_id = b.distributor_id
        LEFT JOIN posting g ON g.txn_id = l.id AND g.account_id = a.id AND g.layer = 'posted'
        WHERE p.id IS NULL OR (b.booked_at_ms IS NOT NULL) <> (p.state = 'CONFIRMED')
           OR COALESCE(g.amount_fen, 0) <> CASE WHEN b.booked_at_ms IS NULL THEN 0 ELSE -b.amount_fen END
        """,
    ),
    Invariant(
        "I12",
        "a balance keeps back what is to go back to its distributor, once, while two persons may agree on it",
        """
        SELECT 'bank_top_up ' || CAST(b.id AS VARCHAR(36)) FROM bank_top_up b
        JOIN approval p ON p.subject = 'paidback\\:' || REPLACE(CAST(b.id AS VARCHAR(36)), '-', '')
        LEFT JOIN ledger_account a ON a.code = '2010' AND a.owner_id = b.distributor_id
        LEFT JOIN ledger_txn l ON l.txn_key = p.subject || '\\:pending'
        LEFT JOIN posting g ON g.txn_id = l.id AND g.account_id = a.id AND g.layer = 'pending'
        LEFT JOIN ledger_txn void ON void.txn_key = p.subject || '\\:void'
        WHERE COALESCE(g.amount_fen, 0) <> -b.amount_fen
           OR (void.id IS NOT NULL AND p.state = 'REQUESTED' AND void.recorded_at_ms < p.expires_at_ms)
        UNION ALL
        SELECT 'ledger_account ' || a.name FROM ledger_account a
        WHERE a.code = '2010' AND a.debits_pending_fen <> (
            SELECT COALESCE(SUM(-b.amount_fen), 0) FROM bank_top_up b
            WHERE b.distributor_id = a.owner_id AND b.amount_fen < 0 AND NOT EXISTS (
                SELECT 1 FROM ledger_txn l WHERE l.txn_key
                IN ('paidback\\:' || REPLACE(CAST(b.id AS VARCHAR(36)), '-', ''),
                    'paidback\\:' || REPLACE(CAST(b.id AS VARCHAR(36)), '-', '') || '\\:void')))
        """,
    ),
    Invariant(
        "I12",
        "a voucher of a bank stands for one transaction, and what a bank moved has one",
        """
        SELECT 'bank_voucher ' || v.number || ' of ' || v.bank FROM bank_voucher v
        JOIN approval p ON p.id = v.request_id
        LEFT JOIN ledger_txn l ON l.txn_key = v.txn_key
        WHERE (v.txn_key IS NOT NULL) <> (p.state = 'CONFIRMED') OR (l.id IS NULL) <> (v.txn_key IS NULL)
        UNION ALL
        SELECT 'bank_top_up ' || CAST(b.id AS VARCHAR(36)) FROM bank_top_up b
        WHERE b.booked_at_ms IS NOT NULL AND 1 <> (SELECT COUNT(*) FROM bank_voucher v WHERE v.txn_key
            IN ('topup\\:' || REPLACE(CAST(b.id AS VARCHAR(36)), '-', ''),
                'paidback\\:' || REPLACE(CAST(b.id AS VARCHAR(36)), '-', '')))
        UNION ALL
        SELECT 'transfer_attempt ' || a.out_no FROM transfer_attempt a
        JOIN external_transfer t ON t.id = a.transfer_id
        WHERE a.provider = 'OFFLINE' AND 1 <> (SELECT COUNT(*) FROM bank_voucher v WHERE v.txn_key
            = CASE WHEN a.state <> 'SUCCEEDED' THEN 'double\\:' || a.out_no ELSE t.subject_key END)
        """,
    ),
    Invariant(
        "I12",
        "money goes to another account by the word of two persons",
        """
        SELECT 'settlement_account ' || CAST(s.id AS VARCHAR(36)) FROM settlement_account s
        LEFT JOIN approval a ON a.id = s.id AND a.act = 'party.account'
        WHERE a.id IS NULL OR (s.confirmed_at_ms IS NOT NULL) <> (a.state = 'CONFIRMED')
           OR a.subject <> 'party:' || REPLACE(CAST(s.party_id AS VARCHAR(36)), '-', '')
        """,
    ),
)
