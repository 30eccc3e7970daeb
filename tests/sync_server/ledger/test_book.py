"""The book: every transaction once, balanced, never changed; on SQLite and PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
import sqlalchemy as sa

from sync_server.centre import Centre
from sync_server.errors import KeyReusedError, NotFoundError, OverdrawnError
from sync_server.invariants import broken
from sync_server.ledger import checks
from sync_server.ledger.accounts import COVERED_CODES, Account
from sync_server.ledger.balances import Balance, balance, trial_balance
from sync_server.ledger.book import Leg, Txn, legs, post, resolve, reverse
from sync_server.ledger.tables import ledger_account, ledger_txn, posting

CASH, FEES = Account("1010"), Account("4010")
VENUE = Account("2210", UUID(int=7))
NOW_MS = 1_790_000_000_000


def charge(key: str = "charge:1", amount_fen: int = 31, pending: bool = False) -> Txn:
    return Txn(key, legs((CASH, amount_fen), (FEES, -amount_fen)), NOW_MS, "test", pending)


def owed(amount_fen: int, account: Account = VENUE, key: str = "owed:1") -> Txn:
    return Txn(key, legs((CASH, amount_fen), (account, -amount_fen)), NOW_MS, "test")


def flaws(centre: Centre) -> list[str]:
    with centre.read() as connection:
        return [name for invariant in checks.CHECKS for name in broken(connection, invariant)]


def test_the_same_key_twice_is_one_effect(any_centre: Centre) -> None:
    for expected in (1, 0, 0):
        with any_centre.write() as connection:
            assert post(connection, [charge()], NOW_MS) == expected
    with any_centre.read() as connection:
        assert balance(connection, CASH) == Balance(31, 0)
        assert connection.scalar(sa.select(sa.func.count()).select_from(posting)) == 2


def test_the_same_key_with_another_body_is_refused_and_nothing_of_the_call_stands(any_centre: Centre) -> None:
    with any_centre.write() as connection:
        post(connection, [charge()], NOW_MS)
    with pytest.raises(KeyReusedError, match="charge:1"), any_centre.write() as connection:
        post(connection, [charge("charge:2"), charge(amount_fen=32)], NOW_MS)
    with any_centre.read() as connection:
        assert balance(connection, CASH) == Balance(31, 0)
    assert flaws(any_centre) == []


def test_one_key_twice_in_one_call(centre: Centre) -> None:
    with centre.write() as connection:
        assert post(connection, [charge(), charge()], NOW_MS) == 1
    with pytest.raises(KeyReusedError, match="in one call"), centre.write() as connection:
        post(connection, [charge("x"), charge("x", 5)], NOW_MS)


@pytest.mark.parametrize("amounts", [(), (5,), (5, -4), (5, -5, 0)])
def test_an_unbalanced_transaction_cannot_be_made(amounts: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="sum to 0"):
        Txn("k", tuple(Leg(CASH, amount) for amount in amounts), NOW_MS, "test")


@pytest.mark.parametrize(("code", "owner"), [("9999", None), ("2210", None), ("1010", UUID(int=1))])
def test_an_account_outside_the_chart_cannot_be_named(code: str, owner: UUID | None) -> None:
    with pytest.raises(ValueError, match="no such account"):
        Account(code, owner)


@pytest.mark.parametrize("happened", [True, False])
def test_a_pending_transaction_ends_once(any_centre: Centre, happened: bool) -> None:
    payout = Txn("payout:1", legs((VENUE, 4970), (CASH, -4970)), NOW_MS, "test", pending=True)
    with any_centre.write() as connection:
        post(connection, [owed(4970), payout], NOW_MS)
        post(connection, [payout], NOW_MS)
    with any_centre.read() as connection:
        assert balance(connection, CASH) == Balance(4970, -4970)
    for expected in (True, False):
        with any_centre.write() as connection:
            assert resolve(connection, "payout:1", happened, NOW_MS, "test", NOW_MS) is expected
    with any_centre.read() as connection:
        assert balance(connection, CASH) == Balance(0 if happened else 4970, 0)
        assert balance(connection, VENUE) == Balance(0 if happened else -4970, 0)
    with pytest.raises(KeyReusedError, match="ended or reversed otherwise"), any_centre.write() as connection:
        resolve(connection, "payout:1", not happened, NOW_MS, "test", NOW_MS)
    assert flaws(any_centre) == []


def test_what_is_not_pending_cannot_be_resolved(centre: Centre) -> None:
    with pytest.raises(NotFoundError, match="payout:9"), centre.write() as connection:
        resolve(connection, "payout:9", True, NOW_MS, "test", NOW_MS)


@pytest.mark.parametrize("table", [posting, ledger_txn])
@pytest.mark.parametrize("act", ["update", "delete"])
def test_the_database_itself_refuses_to_change_the_book(any_centre: Centre, table: sa.Table, act: str) -> None:
    with any_centre.write() as connection:
        post(connection, [charge()], NOW_MS)
    column = "amount_fen" if table is posting else "actor"
    statement = table.delete() if act == "delete" else table.update().values({column: table.c[column]})
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), any_centre.write() as connection:
        connection.execute(statement)


def test_the_trial_balance_sums_to_nothing(any_centre: Centre) -> None:
    with any_centre.write() as connection:
        post(connection, [charge(), Txn("p", legs((VENUE, -10), (CASH, 10)), NOW_MS, "test")], NOW_MS)
    with any_centre.read() as connection:
        lines = trial_balance(connection)
    assert [(line.code, line.balance_fen) for line in lines] == [("1010", 41), ("2210", -10), ("4010", -31)]
    assert sum(line.balance_fen for line in lines) == 0


def test_writers_side_by_side_neither_lose_nor_double_nor_deadlock(any_centre: Centre) -> None:
    """Every writer posts the same 20 keys, legs in an order of its own."""

    def work(writer: int) -> int:
        done = 0
        for i in range(20):
            sides = [(CASH, 100 + i), (VENUE, -60 - i), (FEES, -40)]
            rotated = sides[writer % 3 :] + sides[: writer % 3]
            with any_centre.write() as connection:
                done += post(connection, [Txn(f"k{i}", legs(*rotated), NOW_MS, "test")], NOW_MS)
        return done

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(work, range(6))) == 20
    with any_centre.read() as connection:
        assert balance(connection, CASH).posted_fen == sum(100 + i for i in range(20))
    assert flaws(any_centre) == []


@pytest.mark.parametrize("code", COVERED_CODES)
def test_what_is_owed_is_never_taken_twice_and_what_is_on_its_way_counts(any_centre: Centre, code: str) -> None:
    account = Account(code, UUID(int=9))

    def take(key: str, amount_fen: int, pending: bool = False) -> None:
        with any_centre.write() as connection:
            post(connection, [Txn(key, legs((account, amount_fen), (CASH, -amount_fen)), NOW_MS, "t", pending)], NOW_MS)

    with any_centre.write() as connection:
        post(connection, [owed(100, account)], NOW_MS)
    take("first", 60, pending=True)
    with pytest.raises(OverdrawnError, match="lacks 1 fen") as refused:
        take("second", 41)
    assert (refused.value.code, refused.value.owner, refused.value.lacking_fen) == (code, account.owner, 1)
    take("third", 40)
    with any_centre.write() as connection:
        resolve(connection, "first", True, NOW_MS, "test", NOW_MS)
    with any_centre.read() as connection:
        assert balance(connection, account) == Balance(0, 0)
    assert flaws(any_centre) == []


def test_the_database_itself_refuses_to_owe_less_than_nothing(any_centre: Centre) -> None:
    with any_centre.write() as connection:
        post(connection, [owed(100)], NOW_MS)
    with pytest.raises(sa.exc.IntegrityError, match="covered"), any_centre.write() as connection:
        connection.execute(
            ledger_account.update().where(ledger_account.c.code == "2210").values(debits_pending_fen=101)
        )


def test_takers_side_by_side_share_what_there_is(any_centre: Centre) -> None:
    with any_centre.write() as connection:
        post(connection, [owed(100)], NOW_MS)

    def take(n: int) -> bool:
        try:
            with any_centre.write() as connection:
                post(connection, [Txn(f"t{n}", legs((VENUE, 30), (CASH, -30)), NOW_MS, "t", n % 2 == 0)], NOW_MS)
        except OverdrawnError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(take, range(12))) == 3
    assert flaws(any_centre) == []


def test_a_correction_is_a_transaction_of_its_own_that_names_what_it_reverses(any_centre: Centre) -> None:
    later_ms = NOW_MS + 5
    with any_centre.write() as connection:
        post(connection, [charge()], NOW_MS)
    for expected in (True, False):
        with any_centre.write() as connection:
            assert reverse(connection, "charge:1", NOW_MS, "somebody", later_ms) is expected
    with any_centre.read() as connection:
        assert balance(connection, CASH) == Balance(0, 0)
        rows = connection.execute(sa.select(ledger_txn).order_by(ledger_txn.c.recorded_at_ms)).all()
    assert [row.txn_key for row in rows] == ["charge:1", "reverse:charge:1"]
    assert rows[1].reverses == rows[0].id
    assert (rows[1].effective_at_ms, rows[1].recorded_at_ms) == (NOW_MS, later_ms)
    assert flaws(any_centre) == []


def test_only_what_is_posted_can_be_reversed(centre: Centre) -> None:
    with centre.write() as connection:
        post(connection, [charge(pending=True)], NOW_MS)
    for key in ("charge:1", "charge:1:pending", "charge:9"):
        with pytest.raises(NotFoundError, match="nothing posted"), centre.write() as connection:
            reverse(connection, key, NOW_MS, "test", NOW_MS)


def test_a_wrong_total_is_named(centre: Centre) -> None:
    with centre.write() as connection:
        post(connection, [charge()], NOW_MS)
        connection.execute(ledger_account.update().where(ledger_account.c.code == "1010").values(debits_posted_fen=30))
    assert flaws(centre) == ["ledger_account 1010"]
