"""What the database itself refuses is looked at by `check` all the same: a guard may have been lost before."""

from __future__ import annotations

from uuid import UUID

import pytest
import sqlalchemy as sa

from sync_server.centre import Centre
from sync_server.db import is_sqlite
from sync_server.invariants import broken
from sync_server.ledger import book
from sync_server.ledger.accounts import Account
from sync_server.ledger.checks import CHECKS

PAYABLE, CASH = Account("2210", UUID(int=7)), Account("1010")


def copied_without_guards(connection: sa.Connection, table: str) -> None:
    """From here to the end of the transaction this name is a copy that refuses nothing."""
    schema = "main" if is_sqlite(connection) else "public"
    connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {table} AS SELECT * FROM {schema}.{table}")


def found(connection: sa.Connection, name: str) -> list[str]:
    return [flaw for check in CHECKS if check.name == name for flaw in broken(connection, check)]


@pytest.mark.parametrize(
    ("name", "table", "planted", "said"),
    [
        ("I3", "ledger_txn", "UPDATE ledger_txn SET txn_key = 'paid:7'", "ledger_txn paid:7 3"),
        ("I3", "ledger_txn", "UPDATE ledger_txn SET resolves = (SELECT id FROM ledger_txn LIMIT 1)", " 3"),
        ("I9", "ledger_account", "UPDATE ledger_account SET debits_posted_fen = 901", "ledger_account 2210:"),
        ("I9", "ledger_account", "UPDATE ledger_account SET debits_pending_fen = 1", "ledger_account 2210:"),
    ],
    ids=["a key twice", "resolved twice", "paid twice", "on its way beside"],
)
def test_what_no_constraint_kept_out_is_named(
    any_centre: Centre, name: str, table: str, planted: str, said: str
) -> None:
    """A venue is owed 900, all of which was paid."""
    with any_centre.write() as connection:
        for key, sides in (
            ("redeem:7", ((CASH, 900), (PAYABLE, -900))),
            ("paid:7", ((PAYABLE, 900), (CASH, -900))),
        ):
            book.post(connection, [book.Txn(key, book.legs(*sides), 0, "test", pending=key == "paid:7")], 0)
        book.resolve(connection, "paid:7", True, 0, "test", 0)
        copied_without_guards(connection, table)
        assert found(connection, name) == []
        connection.exec_driver_sql(planted)
        assert said in found(connection, name)[0]
