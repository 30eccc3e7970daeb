"""The book's invariants (money.md I1–I3, I9)."""

from __future__ import annotations

from sync_server.invariants import Invariant
from sync_server.ledger.accounts import COVERED_CODES

_COVERED = ", ".join(f"'{code}'" for code in COVERED_CODES)

CHECKS = (
    Invariant(
        "I1",
        "each transaction's postings sum to 0 in each layer, and none is 0",
        """
        SELECT 'ledger_txn ' || t.txn_key, COALESCE(b.posted, 0), COALESCE(b.pending, 0), COALESCE(b.resolved, 0) FROM (
            SELECT txn_id, MIN(ABS(amount_fen)) AS least,
                SUM(amount_fen) FILTER (WHERE layer = 'posted') AS posted,
                SUM(amount_fen) FILTER (WHERE layer = 'pending') AS pending,
                SUM(amount_fen) FILTER (WHERE layer = 'resolved') AS resolved
            FROM posting GROUP BY txn_id
        ) b JOIN ledger_txn t ON t.id = b.txn_id
        WHERE b.posted <> 0 OR b.pending <> 0 OR b.resolved <> 0 OR b.least = 0
        """,
    ),
    Invariant(
        "I1",
        "no transaction is without postings",
        """
        SELECT 'ledger_txn ' || t.txn_key FROM ledger_txn t
        WHERE (SELECT COUNT(*) FROM ledger_txn) <> (SELECT COUNT(*) FROM (SELECT 1 FROM posting GROUP BY txn_id) used)
          AND NOT EXISTS (SELECT 1 FROM posting p WHERE p.txn_id = t.id)
        """,  # looked for only where there are not as many: every posting's is there, which the foreign key sees to
    ),
    Invariant(
        "I2",
        "an account's totals are the sums of its postings, posted and pending apart",
        """
        SELECT 'ledger_account ' || a.name
        FROM ledger_account a LEFT JOIN (
            SELECT account_id,
                SUM(amount_fen) FILTER (WHERE layer = 'posted' AND amount_fen > 0) AS debits_posted,
                SUM(-amount_fen) FILTER (WHERE layer = 'posted' AND amount_fen < 0) AS credits_posted,
                SUM(CASE layer WHEN 'pending' THEN amount_fen ELSE -amount_fen END)
                    FILTER (WHERE layer <> 'posted' AND amount_fen > 0) AS debits_pending,
                SUM(CASE layer WHEN 'pending' THEN -amount_fen ELSE amount_fen END)
                    FILTER (WHERE layer <> 'posted' AND amount_fen < 0) AS credits_pending
            FROM posting GROUP BY account_id
        ) s ON s.account_id = a.id
        WHERE a.debits_posted_fen <> COALESCE(s.debits_posted, 0)
           OR a.credits_posted_fen <> COALESCE(s.credits_posted, 0)
           OR a.debits_pending_fen <> COALESCE(s.debits_pending, 0)
           OR a.credits_pending_fen <> COALESCE(s.credits_pending, 0)
        """,
    ),
    Invariant(
        "I3",
        "a ledger key stands for one transaction, and a pending one is resolved at most once",
        """
        SELECT 'ledger_txn ' || MIN(txn_key), COUNT(*) FROM ledger_txn GROUP BY txn_key HAVING COUNT(*) > 1
        UNION ALL
        SELECT 'ledger_txn ' || MIN(txn_key), COUNT(*) FROM ledger_txn
        WHERE resolves IS NOT NULL GROUP BY resolves HAVING COUNT(*) > 1
        """,
    ),
    Invariant(
        "I9",
        "nothing is owed twice: credits cover debits, those on their way counted",
        f"""
        SELECT 'ledger_account ' || name, credits_posted_fen, debits_posted_fen, debits_pending_fen FROM ledger_account
        WHERE code IN ({_COVERED}) AND credits_posted_fen < debits_posted_fen + debits_pending_fen
        """,  # noqa: S608  the codes above
    ),
    Invariant(
        "I18",
        "a correction undoes exactly what it names",
        """
        SELECT 'ledger_txn ' || r.txn_key, p.account_id
        FROM (SELECT DISTINCT reverses FROM ledger_txn WHERE reverses IS NOT NULL) undone
        JOIN ledger_txn r ON r.reverses = undone.reverses
        JOIN posting p ON p.txn_id IN (r.id, undone.reverses) AND p.layer = 'posted'
        GROUP BY r.txn_key, p.account_id HAVING SUM(p.amount_fen) <> 0
        """,
    ),
)
