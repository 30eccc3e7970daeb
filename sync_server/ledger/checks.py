"""The book's invariants (money.md I1–I3, I9)."""

from __future__ import annotations

from sync_server.invariants import Invariant
from sync_server.ledger.accounts import COVERED_CODES
from sync_server.ledger.tables import LAYERS

_COVERED = ", ".join(f"'{code}'" for code in COVERED_CODES)
_SUMS = ", ".join(f"COALESCE(SUM(p.amount_fen) FILTER (WHERE p.layer = '{layer}'), 0)" for layer in LAYERS)
_SOUND = f"({_SUMS}) = (0, 0, 0) AND COUNT(p.amount_fen) > 0 AND COUNT(*) FILTER (WHERE p.amount_fen = 0) = 0"

CHECKS = (
    Invariant(
        "I1",
        "no transaction is without postings, each transaction's postings sum to 0 in each layer, and none is 0",
        f"""
        SELECT 'ledger_txn ' || t.txn_key, {_SUMS} FROM ledger_txn t LEFT JOIN posting p ON p.txn_id = t.id
        WHERE (SELECT COUNT(*) <> COUNT(*) FILTER (WHERE sound) OR COUNT(*) <> (SELECT COUNT(*) FROM ledger_txn)
               FROM (SELECT {_SOUND} AS sound FROM posting p GROUP BY txn_id) each_txn)
        GROUP BY t.id, t.txn_key HAVING NOT ({_SOUND})
        """,  # noqa: S608  the sums above
    ),  # named only where not all are sound, or not as many as there are: a posting's is there by its foreign key
    Invariant(
        "I2",
        "an account's totals are the sums of its postings, posted and pending apart",
        """
        SELECT 'ledger_account ' || a.name FROM ledger_account a
        WHERE (SELECT
            a.debits_posted_fen <> COALESCE(SUM(amount_fen) FILTER (WHERE layer = 'posted' AND amount_fen > 0), 0)
            OR a.credits_posted_fen <> COALESCE(SUM(-amount_fen) FILTER (WHERE layer = 'posted' AND amount_fen < 0), 0)
            OR a.debits_pending_fen <> COALESCE(SUM(CASE layer WHEN 'pending' THEN amount_fen ELSE -amount_fen END)
                FILTER (WHERE layer <> 'posted' AND amount_fen > 0), 0)
            OR a.credits_pending_fen <> COALESCE(SUM(CASE layer WHEN 'pending' THEN -amount_fen ELSE amount_fen END)
                FILTER (WHERE layer <> 'posted' AND amount_fen < 0), 0)
            FROM posting p WHERE p.account_id = a.id)
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
        "a correction undoes exactly what it names; what was owed to a venue, which may be paid, it owes instead",
        """
        SELECT 'ledger_txn ' || r.txn_key, MIN(a.name)
        FROM (SELECT DISTINCT reverses FROM ledger_txn WHERE reverses IS NOT NULL) undone
        JOIN ledger_txn r ON r.reverses = undone.reverses
        JOIN posting p ON p.txn_id IN (r.id, undone.reverses) AND p.layer = 'posted'
        JOIN ledger_account a ON a.id = p.account_id
        GROUP BY r.txn_key, CASE a.code WHEN '1220' THEN '2210' ELSE a.code END, a.owner_id
        HAVING SUM(p.amount_fen) <> 0
        """,
    ),
)
