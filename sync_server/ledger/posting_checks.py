"""Every transaction is of a kind that `postings` lists, and touches the accounts of its kind alone (money.md §3)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from sync_server.invariants import Invariant
from sync_server.ledger.accounts import CHART
from sync_server.ledger.postings import POSTINGS

BY_THE_MILLION = ("charge", "redeem", "margin")
"""One for each order, visit and order: only where they touch what none of them may. What stands on the accounts of all
three is added up instead, from the orders and the lines of payouts, and named where the sum is another
(settlement.balance_checks).
"""


def _codes(codes: Iterable[str]) -> str:
    return ", ".join(f"'{code}'" for code in sorted(codes))


def _begins(word: str) -> str:
    return f"SUBSTR(t.txn_key, 1, {len(word) + 1}) = '{word}\\:'"


_debits: defaultdict[str, set[str]] = defaultdict(set)
_credits: defaultdict[str, set[str]] = defaultdict(set)
for _one in POSTINGS:
    _debits[_one.word] |= {*_one.debit}
    _credits[_one.word] |= {*_one.credit}
_OF_MANY = " OR ".join(_begins(word) for word in BY_THE_MILLION)
_THEIRS = {code for word in BY_THE_MILLION for code in _debits[word] | _credits[word]}
_ALLOWED = "\n           OR ".join(
    f"({_begins(word)} AND ((g.amount_fen > 0 AND a.code IN ({_codes(_debits[word])}))"
    f" OR (g.amount_fen < 0 AND a.code IN ({_codes(_credits[word])}))))"
    for word in _debits
)

CHECKS = (
    Invariant(
        "I7",
        "every transaction is of a known kind, and on the accounts of its kind alone",
        f"""
        SELECT 'ledger_txn ' || t.txn_key, a.name, g.amount_fen FROM ledger_txn t
        CROSS JOIN posting g CROSS JOIN ledger_account a
        WHERE NOT ({_OF_MANY}) AND g.txn_id = t.id AND a.id = g.account_id AND NOT ({_ALLOWED})
        UNION ALL
        SELECT 'ledger_txn ' || t.txn_key, a.name, g.amount_fen FROM ledger_account a
        JOIN posting g ON g.account_id = a.id JOIN ledger_txn t ON t.id = g.txn_id
        WHERE a.code IN ({_codes(CHART.keys() - _THEIRS)}) AND ({_OF_MANY})
        """,  # noqa: S608  the words and codes of the table; begun with the transactions, as SQLite takes a CROSS JOIN
    ),
)
