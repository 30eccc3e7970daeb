"""What each account holds is what the tables say went there (money.md I5, I7, I10): the other side of every posting.

A balanced book may still say the wrong thing: a fee on another account, a venue credited more than it is paid. So every
account that is not one item's or one order's is added up a second time, from the rows that its postings are for; what
persons and statements book is taken from the transactions that their rows name.
"""

from __future__ import annotations

from sync_server.invariants import Invariant
from sync_server.orders.checks import NEVER_PAID
from sync_server.parties.tables import PROVIDERS
from sync_server.payments.providers import CLEARING
from sync_server.payments.tables import COMING_IN, INCOMING
from sync_server.settlement.income import DAY_MINUTES
from sync_server.settlement.named_transactions import (
    CHARGED_OTHERWISE,
    EARNED_OTHERWISE,
    REDEEMED_OTHERWISE,
    with_their_names,
)

BESIDE = """
    (SELECT d.id, SUBSTR(d.txn_key, 8) AS out_no FROM ledger_account s CROSS JOIN posting e CROSS JOIN ledger_txn d
     WHERE s.code = '1310' AND e.account_id = s.id AND e.layer = 'posted' AND d.id = e.txn_id
       AND SUBSTR(d.txn_key, 1, 7) = 'double\\:')
"""
"""What moved beside a transfer, found by the suspense that it stands in: a stretch of keys is another one, or none,
where a database does not sort text by its bytes. In this order, as SQLite takes a CROSS JOIN.
"""

_COMING_IN = ", ".join(f"'{kind}'" for kind in COMING_IN)
_INCOMING = ", ".join(f"'{kind}'" for kind in INCOMING)
_CODE = "CASE {0}.provider " + " ".join(f"WHEN '{name}' THEN '{CLEARING[name].code}'" for name in PROVIDERS) + " END"
_NOTED = """
    SELECT txn_id FROM statement_match WHERE role <> 'MOVEMENT'
    UNION SELECT l.id FROM transfer_attempt a JOIN ledger_txn l ON l.txn_key = 'double\\:' || a.out_no
    WHERE a.state IN ('EXTRA', 'RETURNED', 'REVERSED')
    UNION SELECT l.id FROM recon_case c
    JOIN ledger_txn l ON l.txn_key = 'case\\:' || REPLACE(CAST(c.id AS VARCHAR(36)), '-', '')
    WHERE c.settled_as = 'WRITTEN_OFF'
    UNION SELECT l.id FROM recon_case c
    JOIN ledger_txn l ON l.txn_key = 'case\\:' || REPLACE(CAST(c.id AS VARCHAR(36)), '-', '') || '\\:fee'
    WHERE c.settled_as = 'MATCHED'
    UNION SELECT l.id FROM debt_end e
    JOIN ledger_txn l ON l.txn_key = 'writeoff\\:' || REPLACE(CAST(e.id AS VARCHAR(36)), '-', '')
    UNION SELECT l.id FROM bank_voucher v JOIN ledger_txn l ON l.txn_key = v.txn_key
"""
"""Transactions of statements' lines, attempts beside transfers, what was written off or kept by a bank, vouchers."""

_FEES_OF_UNISSUED_PASSES = """
    (SELECT COALESCE(SUM(charge_fee_fen), 0) FROM "order"
     WHERE kind = 'PASS' AND issued_at_ms IS NULL AND state IN ('REFUNDING', 'REFUND_FAILED', 'REFUNDED'))
"""


def _earned(minute: str) -> str:
    """What a pass has earned until a moment, as `settlement.income.line_fen` has it."""
    over = f"(({minute} - d.not_before) / {DAY_MINUTES})"
    odd = f"CASE WHEN {over} < d.dist_price_fen % d.days THEN {over} ELSE d.dist_price_fen % d.days END"
    return (
        f"CASE WHEN d.not_before IS NULL OR {minute} <= d.not_before THEN 0 WHEN {minute} >= d.not_after"
        f" THEN d.dist_price_fen ELSE {over} * (d.dist_price_fen / d.days) + {odd} END"
    )


def _total(code: str, rule: str, expected: str, transactions: str = "") -> Invariant:
    """Accounts of these codes together have so many more credits than debits; `expected` selects it as `fen`."""
    codes = ", ".join(f"'{one}'" for one in code.split())
    off = f"""
        SELECT 'ledger_account {code}', b.fen, e.fen
        FROM (SELECT COALESCE(SUM(credits_posted_fen - debits_posted_fen), 0) AS fen FROM ledger_account
              WHERE code IN ({codes})) b,
             (SELECT {expected} AS fen) e
        WHERE b.fen <> e.fen
    """  # noqa: S608  the codes of the chart
    return Invariant("I10", rule, with_their_names(off, transactions) if transactions else off)


OF_VENUES = (
    Invariant(
        "I5",
        "a line of a payout has the price and the fee that were frozen when its item was sold, and is of its venue",
        """
        SELECT 'payout_line of order_item ' || CAST(i.id AS VARCHAR(36)), l.gross_fen, l.fee_fen
        FROM order_item i CROSS JOIN payout_line l CROSS JOIN payout p
        WHERE l.item_id = i.id AND p.id = l.payout_id
          AND (l.gross_fen <> i.venue_price_fen OR l.fee_fen <> i.payout_fee_fen OR p.venue_id <> i.venue_id)
        """,  # in the order of the items, as SQLite takes a CROSS JOIN
    ),
    Invariant(
        "I5",
        "what a venue was credited is what its payouts come to, and what they kept back of it, and what was undone",
        with_their_names(
            """
            SELECT 'ledger_account ' || a.name, a.credits_posted_fen, COALESCE(p.fen, 0) FROM ledger_account a
            LEFT JOIN (SELECT venue_id, SUM(fen) AS fen FROM (
                           SELECT venue_id, total_fen AS fen FROM payout WHERE state <> 'REPLACED'
                           UNION ALL SELECT venue_id, netted_fen FROM clawback
                           UNION ALL SELECT t.party_id, t.amount_fen FROM transfer_attempt a
                           JOIN external_transfer t ON t.id = a.transfer_id
                           WHERE a.state = 'REVERSED' AND t.kind = 'PAYOUT') every
                       GROUP BY venue_id) p ON p.venue_id = a.owner_id
            WHERE a.code = '2210' AND a.credits_posted_fen <> COALESCE(p.fen, 0)
            """,
            REDEEMED_OTHERWISE,
        ),
    ),
    _total(
        "4020",
        "what was earned of payout fees is the fees of all lines and pools, less those of visits that were refunded or "
        "given back",
        """
        (SELECT COALESCE(SUM(fee_fen), 0) FROM payout_line) + (SELECT COALESCE(SUM(fee_fen), 0) FROM payout_adjustment)
        - (SELECT COALESCE(SUM(l.fee_fen), 0) FROM clawback c
           JOIN payout_line l ON l.item_id = c.item_id AND l.kind = 'REDEEM')
        - (SELECT COALESCE(SUM(l.fee_fen), 0) FROM clawback c JOIN payout_line l ON l.redemption_id = c.redemption_id)
        """,
        REDEEMED_OTHERWISE,
    ),
    _total(
        "5020",
        "what honoured entries cost is the prices of their lines, less what distributors were charged of them",
        """
        (SELECT COALESCE(SUM(c.amount_fen), 0) FROM charge_back c
         LEFT JOIN external_transfer x ON x.subject_key = 'chargeback\\:' || ENCODE(c.redemption_id, 'hex')
         WHERE c.charged_at_ms IS NOT NULL AND COALESCE(x.state, 'SUCCEEDED') = 'SUCCEEDED')
        - (SELECT COALESCE(SUM(l.gross_fen), 0) FROM redemption_decision d
           JOIN payout_line l ON l.redemption_id = d.redemption_id AND l.kind = 'HONOUR')
        """,
    ),
    _total(
        "5040",
        "what visits with passes cost is the prices of their lines, and the pools, less what was given back",
        """
        (SELECT COALESCE(SUM(l.gross_fen), 0) FROM clawback c JOIN payout_line l ON l.redemption_id = c.redemption_id)
        - (SELECT COALESCE(SUM(gross_fen), 0) FROM payout_line WHERE item_id IS NULL)
        - (SELECT COALESCE(SUM(gross_fen), 0) FROM payout_adjustment WHERE kind = 'POOL')
        """,
    ),
)

OF_ORDERS = (
    _total(
        "4010",
        "what was earned of charge fees is the fees of the orders whose payment succeeded, less what went back with "
        "their items, and with passes that were never issued",
        f"""
        (SELECT COALESCE(SUM(o.charge_fee_fen), 0) FROM "order" o
         LEFT JOIN external_transfer x ON x.subject_id = o.payment_group AND x.kind IN ({_INCOMING})
         WHERE o.charge_fee_fen > 0 AND (x.state = 'SUCCEEDED' OR (o.funding = 'PREPAID' AND o.paid_fen > 0)))
        - (SELECT COALESCE(SUM(i.fee_back_fen), 0) FROM order_item i
           LEFT JOIN item_claim c ON c.item_id = i.id LEFT JOIN clawback k ON k.item_id = i.id
           WHERE i.fee_back_fen > 0 AND (c.kind = 'REFUND' OR k.id IS NOT NULL))
        - {_FEES_OF_UNISSUED_PASSES}
        """,  # noqa: S608  the kinds of the code
        CHARGED_OTHERWISE,
    ),
    _total(
        "4030",
        "what was earned of margins is what left the deferred ones, less what items gave back or forfeited of it",
        """
        (SELECT COALESCE(SUM(debits_posted_fen), 0) FROM ledger_account WHERE code = '2120')
        - (SELECT COALESCE(SUM(i.share_fen - i.venue_price_fen), 0) FROM item_claim c
           JOIN order_item i ON i.id = c.item_id WHERE c.kind <> 'REDEEM')
        - (SELECT COALESCE(SUM(i.share_fen - i.venue_price_fen), 0) FROM clawback c
           JOIN order_item i ON i.id = c.item_id)
        """,
        EARNED_OTHERWISE,
    ),
    _total(
        "4040 5030",
        "what funds yielded, or lost, is what their closings brought beyond the principal",
        """
        (SELECT COALESCE(SUM(yield_fen), 0) FROM external_transfer WHERE kind = 'FUND_CLOSE' AND state = 'SUCCEEDED')
        """,
    ),
    _total(
        "4050 4060",
        "what was kept of unused items and earned of passes is what was forfeited, and what left the deferred income "
        "of passes and was not given back",
        f"""
        (SELECT COALESCE(SUM(i.share_fen), 0) FROM item_claim c
         JOIN order_item i ON i.id = c.item_id WHERE c.kind = 'FORFEIT')
        + (SELECT COALESCE(SUM(debits_posted_fen), 0) FROM ledger_account WHERE code = '2510')
        - (SELECT COALESCE(SUM(amount_fen), 0) FROM external_transfer
           WHERE kind = 'REFUND' AND subject_key LIKE 'pass\\:%')
        - (SELECT COALESCE(SUM(g.amount_fen), 0) FROM "order" o
           JOIN ledger_txn l ON l.txn_key = 'pass\\:' || REPLACE(CAST(o.id AS VARCHAR(36)), '-', '') || '\\:refunded'
           JOIN posting g ON g.txn_id = l.id AND g.layer = 'posted' AND g.amount_fen > 0
           WHERE o.kind = 'PASS' AND o.funding = 'PREPAID' AND o.state = 'REFUNDED')
        + {_FEES_OF_UNISSUED_PASSES}
        """,  # noqa: S608  the states above
    ),
    Invariant(
        "I10",
        "an annual pass has earned its days up to the end of the newest month that is booked, and defers nothing once "
        "it is refunded",
        f"""
        SELECT 'ledger_account ' || d.name, d.number, d.debits_posted_fen FROM (
            SELECT a.name, a.credits_posted_fen, a.debits_posted_fen, o.number, o.state, o.dist_price_fen,
                   s.not_before, s.not_after, (s.not_after - s.not_before + {DAY_MINUTES - 1}) / {DAY_MINUTES} AS days
            FROM ledger_account a JOIN "order" o ON o.id = a.owner_id
            LEFT JOIN ticket t ON t.order_id = o.id LEFT JOIN pass s ON s.ticket_id = t.id
            WHERE a.code = '2510') d,
            (SELECT COALESCE(MAX(CASE WHEN done_at_ms IS NOT NULL THEN end_minute END), 0) AS done,
                    COALESCE(MAX(end_minute), 0) AS begun FROM income_month) m
        WHERE d.credits_posted_fen <> CASE WHEN d.credits_posted_fen = 0 AND d.state IN ({NEVER_PAID}) THEN 0
                                           ELSE d.dist_price_fen END
           OR CASE WHEN d.state IN ('REFUNDING', 'REFUND_FAILED', 'REFUNDED')
                   THEN d.debits_posted_fen <> d.credits_posted_fen
                   ELSE d.debits_posted_fen NOT IN ({_earned("m.done")}, {_earned("m.begun")}) END
        """,  # noqa: S608  the states and expressions of the code
    ),
)

OF_PARTIES = (
    Invariant(
        "I9",
        "a distributor's balance is what it paid in and was given back, less its orders and what it was charged",
        """
        SELECT 'ledger_account ' || a.name, a.credits_posted_fen - a.debits_posted_fen, COALESCE(m.fen, 0)
        FROM ledger_account a
        LEFT JOIN (SELECT party_id, SUM(fen) AS fen FROM (
            SELECT party_id, amount_fen AS fen FROM external_transfer WHERE kind = 'TOP_UP' AND state = 'SUCCEEDED'
            UNION ALL SELECT distributor_id, amount_fen FROM bank_top_up WHERE booked_at_ms IS NOT NULL
            UNION ALL SELECT distributor_id, -paid_fen FROM "order" WHERE funding = 'PREPAID'
            UNION ALL SELECT c.distributor_id, -c.amount_fen FROM charge_back c
            LEFT JOIN external_transfer x ON x.subject_key = 'chargeback\\:' || ENCODE(c.redemption_id, 'hex')
            WHERE c.charged_at_ms IS NOT NULL AND x.id IS NULL
            UNION ALL SELECT o.distributor_id, i.share_fen + i.fee_back_fen
            FROM (SELECT item_id FROM item_claim WHERE kind = 'REFUND' UNION ALL SELECT item_id FROM clawback) c
            JOIN order_item i ON i.id = c.item_id JOIN ticket t ON t.id = i.ticket_id
            JOIN "order" o ON o.id = t.order_id AND o.funding = 'PREPAID'
            UNION ALL SELECT o.distributor_id, g.amount_fen FROM "order" o
            JOIN ledger_txn l ON l.txn_key = 'pass\\:' || REPLACE(CAST(o.id AS VARCHAR(36)), '-', '') || '\\:refunded'
            JOIN posting g ON g.txn_id = l.id AND g.layer = 'posted' AND g.amount_fen > 0
            WHERE o.kind = 'PASS' AND o.funding = 'PREPAID' AND o.state = 'REFUNDED') every
            GROUP BY party_id) m ON m.party_id = a.owner_id
        WHERE a.code = '2010' AND a.credits_posted_fen - a.debits_posted_fen <> COALESCE(m.fen, 0)
        """,
    ),
    Invariant(
        "I10",
        "what is to be given back is the refunds that are not through, of each distributor, visitor's order or case",
        """
        SELECT 'ledger_account ' || a.name, a.credits_posted_fen - a.debits_posted_fen, COALESCE(r.fen, 0)
        FROM ledger_account a
        LEFT JOIN (SELECT COALESCE(x.party_id, o.id, t.order_id, x.subject_id) AS owner_id, SUM(x.amount_fen) AS fen
                   FROM external_transfer x
                   LEFT JOIN "order" o ON o.id = x.subject_id
                   LEFT JOIN clawback c ON c.id = x.subject_id
                   LEFT JOIN order_item i ON i.id = COALESCE(c.item_id, x.subject_id)
                   LEFT JOIN ticket t ON t.id = i.ticket_id
                   WHERE x.kind = 'REFUND' AND x.state <> 'SUCCEEDED'
                   GROUP BY COALESCE(x.party_id, o.id, t.order_id, x.subject_id)) r ON r.owner_id = a.owner_id
        WHERE a.code IN ('2310', '2320') AND a.credits_posted_fen - a.debits_posted_fen <> COALESCE(r.fen, 0)
        """,
    ),
    _total(
        "3010",
        "what was appropriated of the profit is what partners were allotted",
        "- (SELECT COALESCE(SUM(amount_fen), 0) FROM profit_allocation)",
    ),
    Invariant(
        "I5",
        "what a distributor bears is charged exactly when it says so: from its balance, or by a transfer",
        """
        SELECT 'charge_back of redemption ' || ENCODE(c.redemption_id, 'hex') FROM charge_back c
        LEFT JOIN external_transfer x ON x.subject_key = 'chargeback\\:' || ENCODE(c.redemption_id, 'hex')
        LEFT JOIN ledger_txn l ON l.txn_key = 'chargeback\\:' || ENCODE(c.redemption_id, 'hex')
        LEFT JOIN ledger_account a ON a.code = '2010' AND a.owner_id = c.distributor_id
        LEFT JOIN posting g ON g.txn_id = l.id AND g.account_id = a.id AND g.layer = 'posted'
        WHERE COALESCE(CASE WHEN x.kind = 'CHARGE' AND x.party_id = c.distributor_id THEN x.amount_fen END,
                       g.amount_fen, 0) <> CASE WHEN c.charged_at_ms IS NULL THEN 0 ELSE c.amount_fen END
        """,
    ),
)

OF_THE_PLATFORM = (
    Invariant(
        "I10",
        "the platform's accounts hold what its transfers moved, and what vouchers, statements and cases say besides",
        f"""
        SELECT 'ledger_account ' || b.code, COALESCE(a.debits_posted_fen - a.credits_posted_fen, 0), b.fen
        FROM (SELECT code, SUM(fen) AS fen FROM (
            SELECT '1010' AS code, 0 AS fen UNION ALL SELECT '1020', 0 UNION ALL SELECT '1030', 0
            UNION ALL SELECT {_CODE.format("a")},
                CASE WHEN t.kind IN ({_COMING_IN}) THEN t.amount_fen + t.yield_fen ELSE -t.amount_fen END
            FROM transfer_attempt a JOIN external_transfer t ON t.id = a.transfer_id WHERE a.state = 'SUCCEEDED'
              AND a.provider <> 'OFFLINE'
            UNION ALL SELECT c.code,
                g.amount_fen - CASE WHEN t.kind IN ({_COMING_IN}) THEN t.amount_fen + t.yield_fen ELSE -t.amount_fen END
            FROM {BESIDE} d JOIN posting g ON g.txn_id = d.id AND g.layer = 'posted'
            JOIN ledger_account c ON c.id = g.account_id AND c.code IN ('1010', '1020')
            JOIN transfer_attempt a ON a.out_no = d.out_no AND a.state = 'SUCCEEDED'
            JOIN external_transfer t ON t.id = a.transfer_id
            UNION ALL SELECT {_CODE.format("x")}, amount_fen FROM external_transfer x
            WHERE kind = 'REFUND' AND subject_key LIKE 'refund\\:late\\:%'
            UNION ALL SELECT c.code, g.amount_fen FROM ({_NOTED}) n
            JOIN posting g ON g.txn_id = n.txn_id AND g.layer = 'posted'
            JOIN ledger_account c ON c.id = g.account_id AND c.code IN ('1010', '1020', '1030')) every
            GROUP BY code) b
        LEFT JOIN ledger_account a ON a.code = b.code
        WHERE COALESCE(a.debits_posted_fen - a.credits_posted_fen, 0) <> b.fen
        """,  # noqa: S608  the kinds and providers of the code
    ),
    *(
        _total(
            code,
            rule,
            f"""
            - (SELECT COALESCE(SUM(g.amount_fen), 0) FROM ({_NOTED}) n
               JOIN posting g ON g.txn_id = n.txn_id AND g.layer = 'posted'
               JOIN ledger_account a ON a.id = g.account_id AND a.code = '{code}')
            """,  # noqa: S608  the codes above
        )
        for code, rule in (
            ("5010", "what providers took is the fees of their statements, and what cases were written off to it"),
            ("5090", "what was lost is what two persons wrote off: of cases, and of what venues owed"),
        )
    ),
)

CHECKS = (*OF_VENUES, *OF_ORDERS, *OF_PARTIES, *OF_THE_PLATFORM)
