"""Of the transactions that there are millions of, those that say otherwise than the row that they are for, by name.

They are looked at one by one only where an account is not what it should be: that it is, its total shows in a moment.
"""

from __future__ import annotations


def _hex(column: str) -> str:
    return f"REPLACE(CAST({column} AS VARCHAR(36)), '-', '')"


def _credit(code: str, owner: str = "") -> str:
    """What a transaction credited such an account with, in a group of its postings g on their accounts a."""
    mine = f"a.code = '{code}' AND a.owner_id = {owner}" if owner else f"a.code = '{code}'"
    return f"COALESCE(SUM(CASE WHEN {mine} THEN -g.amount_fen END), 0)"


_POSTED = """
    LEFT JOIN posting g ON g.txn_id = t.id AND g.layer = 'posted' LEFT JOIN ledger_account a ON a.id = g.account_id
"""
REDEEMED_OTHERWISE = f"""
    SELECT 'ledger_txn redeem\\:' || {_hex("l.item_id")}, {_credit("4020")}, l.fee_fen
    FROM payout_line l JOIN payout p ON p.id = l.payout_id
    LEFT JOIN ledger_txn t ON t.txn_key = 'redeem\\:' || {_hex("l.item_id")} {_POSTED}
    WHERE EXISTS (SELECT 1 FROM off) AND l.kind = 'REDEEM' GROUP BY l.item_id, l.fee_fen, l.net_fen, p.venue_id
    HAVING {_credit("4020")} <> l.fee_fen OR {_credit("2210", "p.venue_id")} <> l.net_fen
"""  # noqa: S608  the expressions above
CHARGED_OTHERWISE = f"""
    SELECT 'ledger_txn ' || t.txn_key, {_credit("4010")}, o.fee_fen
    FROM (SELECT payment_group, kind, SUM(charge_fee_fen) AS fee_fen FROM "order"
          WHERE EXISTS (SELECT 1 FROM off) GROUP BY payment_group, kind) o
    JOIN ledger_txn t ON t.txn_key = CASE o.kind WHEN 'PASS' THEN 'pass\\:' || {_hex("o.payment_group")} || '\\:charge'
                                                 ELSE 'charge\\:' || {_hex("o.payment_group")} END {_POSTED}
    GROUP BY t.txn_key, o.fee_fen HAVING {_credit("4010")} <> o.fee_fen
"""  # noqa: S608  the expressions above
EARNED_OTHERWISE = f"""
    SELECT 'ledger_txn ' || t.txn_key, {_credit("4030")}, -{_credit("2120", "o.id")} FROM "order" o
    JOIN ledger_txn t ON t.txn_key = 'margin\\:' || {_hex("o.id")} {_POSTED}
    WHERE EXISTS (SELECT 1 FROM off) GROUP BY t.txn_key, o.id HAVING {_credit("4030")} <> -{_credit("2120", "o.id")}
"""  # noqa: S608  the expressions above


def with_their_names(off: str, transactions: str) -> str:
    """The accounts that are `off` by a SELECT of three columns, and these transactions."""
    return f"""
        WITH off (account, booked_fen, expected_fen) AS MATERIALIZED ({off})
        SELECT account, booked_fen, expected_fen FROM off UNION ALL {transactions}
    """  # noqa: S608  the texts of this folder
