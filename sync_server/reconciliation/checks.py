"""The provider's statement is our book and the open cases, line by line (I17); our own statements are whole."""

from __future__ import annotations

from sync_server.invariants import Invariant
from sync_server.parties.tables import PROVIDERS
from sync_server.payments.providers import CLEARING
from sync_server.payments.tables import COMING_IN
from sync_server.settlement.balance_checks import BESIDE

_COMING_IN = ", ".join(f"'{kind}'" for kind in COMING_IN)
_CLEARING = " ".join(f"WHEN '{provider}' THEN '{CLEARING[provider].name}'" for provider in PROVIDERS)

CHECKS = (
    Invariant(
        "I17",
        "what the book has for a line of the provider's statement moves its amount less its fee",
        f"""
        SELECT 'statement_line ' || l.provider || ' ' || l.line_no, l.amount_fen, l.fee_fen, SUM(p.amount_fen)
        FROM statement_line l
        LEFT JOIN statement_match m ON m.provider = l.provider AND m.line_no = l.line_no
        LEFT JOIN posting p ON p.txn_id = m.txn_id AND p.layer = 'posted' AND p.account_id =
            (SELECT a.id FROM ledger_account a WHERE a.name = CASE l.provider {_CLEARING} END)
        WHERE l.settled_at_ms IS NOT NULL
        GROUP BY l.provider, l.line_no, l.amount_fen, l.fee_fen
        HAVING COALESCE(SUM(p.amount_fen), 0) <> l.amount_fen - l.fee_fen
        """,  # noqa: S608  the providers of the code
    ),
    Invariant(
        "I17",
        "what the book moved on a day that the provider's statements cover is in them, or is a case",
        f"""
        SELECT 'ledger_txn ' || t.txn_key, d.provider FROM statement_day d
        JOIN ledger_account a ON a.name = CASE d.provider {_CLEARING} END
        JOIN posting p ON p.account_id = a.id AND p.layer = 'posted'
        JOIN ledger_txn t ON t.id = p.txn_id AND t.effective_at_ms >= d.from_ms AND t.effective_at_ms < d.to_ms
        WHERE d.ended_at_ms IS NOT NULL AND t.reverses IS NULL AND t.txn_key NOT LIKE 'case:%'
          AND NOT EXISTS (SELECT 1 FROM statement_match m WHERE m.txn_id = t.id)
          AND NOT EXISTS (SELECT 1 FROM recon_case c WHERE c.subject = t.txn_key AND c.difference = 'MISSING_THERE')
          AND NOT EXISTS (SELECT 1 FROM ledger_txn u WHERE u.reverses = t.id)
        """,  # noqa: S608  the providers of the code
    ),
    Invariant(
        "I17",
        "of a day that ended every line is judged",
        """
        SELECT 'statement_line ' || l.provider || ' ' || l.line_no FROM statement_line l
        JOIN statement_day d ON d.provider = l.provider AND d.day = l.day
        WHERE l.settled_at_ms IS NULL AND d.ended_at_ms IS NOT NULL
        """,
    ),
    Invariant(
        "I17",
        "a line that stands for no movement of ours has its case",
        """
        SELECT 'statement_line ' || l.provider || ' ' || l.line_no FROM statement_line l
        WHERE l.settled_at_ms IS NOT NULL AND l.kind <> 'FEE'
          AND NOT EXISTS (SELECT 1 FROM statement_match m
                          WHERE m.provider = l.provider AND m.line_no = l.line_no AND m.role = 'MOVEMENT')
          AND NOT EXISTS (SELECT 1 FROM recon_case c WHERE c.subject = l.provider || '\\:' || l.line_no)
        """,
    ),
    Invariant(
        "I12",
        "what moved after it was given up counts as its transfer's success by the word of two persons, from suspense",
        f"""
        SELECT 'transfer_attempt ' || a.out_no FROM {BESIDE} d
        JOIN transfer_attempt a ON a.out_no = d.out_no AND a.state = 'SUCCEEDED'
        JOIN external_transfer t ON t.id = a.transfer_id
        LEFT JOIN recon_case c ON c.subject = a.out_no
        LEFT JOIN approval p ON p.act = 'recon_case.accept' AND p.state = 'CONFIRMED'
             AND p.subject = 'recon_case\\:' || REPLACE(CAST(c.id AS VARCHAR(36)), '-', '')
        LEFT JOIN ledger_txn l ON l.txn_key = t.subject_key
        LEFT JOIN ledger_account s ON s.code = '1310'
        LEFT JOIN posting g ON g.txn_id = l.id AND g.account_id = s.id AND g.layer = 'posted'
        WHERE p.id IS NULL OR COALESCE(g.amount_fen, 0)
              <> CASE WHEN t.kind IN ({_COMING_IN}) THEN t.amount_fen + t.yield_fen ELSE -t.amount_fen END
        """,  # noqa: S608  the kinds of the code
    ),
    Invariant(
        "I12",
        "what moved after it was given up holds up nothing where its case was offset, or written off, and only there",
        """
        SELECT 'transfer_attempt ' || a.out_no FROM transfer_attempt a
        LEFT JOIN recon_case c ON c.subject = a.out_no AND c.difference IN ('DOUBLE_PAID', 'PAID_AFTER_VOID')
        WHERE (a.state = 'RETURNED' AND COALESCE(c.settled_as, '') NOT IN ('OFFSET', 'WRITTEN_OFF'))
           OR (a.state <> 'RETURNED' AND c.settled_as = 'OFFSET')
        """,
    ),
    Invariant(
        "I18",
        "a statement's lines lead from its opening to its closing balance",
        """
        SELECT 'statement ' || s.number FROM statement s LEFT JOIN statement_row r ON r.statement_id = s.id
        GROUP BY s.number, s.opening_fen, s.closing_fen, s.lines
        HAVING COALESCE(SUM(r.owed_fen), 0) <> s.closing_fen - s.opening_fen OR COUNT(r.n) <> s.lines
        """,
    ),
    Invariant(
        "I17",
        "suspense is what open cases say is in it",
        """
        SELECT 'ledger_account 1310', b.fen, c.fen
        FROM (SELECT COALESCE(SUM(credits_posted_fen - debits_posted_fen), 0) AS fen
              FROM ledger_account WHERE code = '1310') b,
             (SELECT COALESCE(SUM(amount_fen), 0) AS fen FROM recon_case WHERE in_suspense AND state <> 'RESOLVED') c
        WHERE b.fen <> c.fen AND NOT EXISTS (
            SELECT 1 FROM transfer_attempt x WHERE x.state = 'EXTRA'
            AND NOT EXISTS (SELECT 1 FROM recon_case k WHERE k.subject = x.out_no))
        """,
    ),
)
