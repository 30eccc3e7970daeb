"""`check` names a transaction of no known kind, and one that touches another account than its kind does."""

from __future__ import annotations

from uuid import UUID

import pytest

from sync_server.centre import Centre
from sync_server.invariants import broken
from sync_server.ledger import book
from sync_server.ledger.accounts import CHART, Account
from sync_server.ledger.posting_checks import CHECKS
from sync_server.ledger.postings import POSTINGS, Posting

OWNER = UUID(int=7)


def account(code: str) -> Account:
    return Account(code, None if CHART[code].owner is None else OWNER)


def flaws(centre: Centre, key: str, debit: str, credit: str) -> list[str]:
    """What is said of a transaction of 100 fen, on accounts that have more than enough."""
    enough = [(account(code), -1_000) for code in (debit, credit) if CHART[code].covered]
    with centre.write() as connection:
        if enough:
            filled = book.legs(*enough, (account("1310"), 1_000 * len(enough)))
            book.post(connection, [book.Txn(f"reverse:fill {key}", filled, 0, "test")], 0)
        book.post(connection, [book.Txn(key, book.legs((account(debit), 100), (account(credit), -100)), 0, "test")], 0)
        return [flaw for check in CHECKS for flaw in broken(connection, check)]


@pytest.mark.parametrize(
    ("key", "debit", "credit"),
    [
        ("bogus:1", "5090", "2210"),
        ("capital", "1010", "1030"),
        ("refund:1", "2310", "2210"),
        ("expire:1", "2310", "2110"),  # the wrong way round
        ("topup:1", "1010", "4060"),
        ("redeem:1", "5090", "4020"),
        ("redeem:1", "2110", "4050"),
        ("charge:1", "1010", "4050"),
        ("margin:1", "2120", "2310"),
        ("redeemed:1", "2110", "4020"),
    ],
)
def test_what_is_on_another_account_is_named(centre: Centre, key: str, debit: str, credit: str) -> None:
    found = flaws(centre, key, debit, credit)
    assert found
    assert all(flaw.startswith(f"ledger_txn {key} ") for flaw in found)


@pytest.mark.parametrize("one", POSTINGS, ids=[one.key for one in POSTINGS])
def test_every_kind_may_touch_its_accounts(centre: Centre, one: Posting) -> None:
    for n, (debit, credit) in enumerate(zip(one.debit, reversed(one.credit), strict=False)):
        if debit != credit:
            assert flaws(centre, one.key.replace("{", f"{n}").replace("}", ""), debit, credit) == []
