"""The provider's book: a number moves money once, accounts never go below nothing, movements are never changed."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox_provider.book import Book
from sandbox_provider.tables import Conflict, Order, Transfer

NOW_MS = 1_790_000_000_000
DAY_MS = 24 * 3_600_000


@pytest.fixture
def book(tmp_path: Path) -> Book:
    made = Book(tmp_path / "provider.db")
    made.add_merchant("platform", "key")
    made.top_up("shop", 1000)
    made.top_up("venue", 0)
    return made


def order(out_no: str, account: str | None, amount_fen: int) -> Order:
    return Order("platform", out_no, account, amount_fen, "a title", "http://127.0.0.1/notice")


def test_charge_then_payout(book: Book) -> None:
    assert book.act("charge", order("1", "shop", 600), NOW_MS).status == "SUCCESS"
    assert book.act("payout", order("2", "venue", 500), NOW_MS).status == "SUCCESS"
    assert book.balances() == {"platform": 100, "shop": 400, "venue": 500}
    lines = book.statement("platform", NOW_MS, NOW_MS + 1)
    assert [(line["out_no"], line["amount_fen"]) for line in lines] == [("1", 600), ("2", -500)]
    assert book.statement("platform", NOW_MS + 1, NOW_MS + 2) == []


def test_the_same_number_again_is_the_same_transfer(book: Book) -> None:
    first = book.act("charge", order("1", "shop", 600), NOW_MS)
    assert book.act("charge", order("1", "shop", 600), NOW_MS + 5) == first
    with pytest.raises(Conflict):
        book.act("charge", order("1", "shop", 601), NOW_MS)
    with pytest.raises(Conflict):
        book.act("payout", order("1", "shop", 600), NOW_MS)
    assert book.balances()["shop"] == 400


def test_too_little_money_and_no_such_account_are_definite(book: Book) -> None:
    assert book.act("charge", order("1", "shop", 1001), NOW_MS).status == "INSUFFICIENT"
    assert book.act("charge", order("2", "nobody", 1), NOW_MS).status == "FAILED"
    assert book.act("payout", order("3", "venue", 1), NOW_MS).status == "INSUFFICIENT"
    assert book.act("charge", order("1", "shop", 1001), NOW_MS).status == "INSUFFICIENT"
    assert book.balances() == {"platform": 0, "shop": 1000, "venue": 0}


def test_a_visitor_pays_once(book: Book) -> None:
    waiting = book.act("collect", order("1", None, 700), NOW_MS)
    assert waiting.status == "WAITING"
    assert waiting.cashier_token is not None
    assert book.find_cashier(waiting.cashier_token) == waiting
    paid = [book.settle("1", NOW_MS) for _ in range(3)]
    assert [None if one is None else one.status for one in paid] == ["SUCCESS", None, None]
    assert book.balances()["platform"] == 700


def test_a_deferred_transfer_happens_later(book: Book) -> None:
    assert book.act("charge", order("1", "shop", 10), NOW_MS, defer_ms=500).status == "WAITING"
    assert book.due_deferred(NOW_MS + 499) == []
    assert book.due_deferred(NOW_MS + 500) == ["1"]


def test_what_ended_as_not_done_can_happen_all_the_same(book: Book) -> None:
    book.act("charge", order("1", "shop", 600), NOW_MS, outcome="FAILED")
    book.act("charge", order("2", "shop", 300), NOW_MS)
    assert [transfer.out_no for transfer in book.transfers()] == ["1", "2"]
    assert book.settle_after_all("1", NOW_MS + 1)
    assert not book.settle_after_all("1", NOW_MS + 2)
    assert not book.settle_after_all("2", NOW_MS + 2)
    assert book.balances() == {"platform": 900, "shop": 100, "venue": 0}
    book.act("charge", order("3", "shop", 600), NOW_MS, outcome="FAILED")
    assert not book.settle_after_all("3", NOW_MS)
    assert [transfer.status for transfer in book.transfers()] == ["SUCCESS", "SUCCESS", "INSUFFICIENT"]


def test_what_is_sent_to_another_provider_arrives_there_once(book: Book, tmp_path: Path) -> None:
    other = Book(tmp_path / "other.db")
    other.add_merchant("platform", "key")
    book.top_up("platform", 1000)
    for out_no in ("in-1", "in-2"):
        sent = Order("platform", f"out-{out_no}", "OTHER", 400, "a title", "", out_no)
        book.act("sweep_out", sent, NOW_MS, travel_ms=DAY_MS if out_no == "in-2" else 0)
    assert other.act("sweep_in", order("in-1", None, 400), NOW_MS).status == "WAITING"
    assert other.fetch_from(book, "somebody else", NOW_MS + DAY_MS) == []
    assert other.fetch_from(book, "other", NOW_MS) == ["in-1"]
    assert other.fetch_from(book, "other", NOW_MS + DAY_MS) == []  # in-2 arrived, and nobody waited for it
    assert (book.balances()["platform"], other.balances()["platform"]) == (200, 800)


def test_movements_are_never_changed(book: Book, tmp_path: Path) -> None:
    book.act("charge", order("1", "shop", 600), NOW_MS)
    with sqlite3.connect(tmp_path / "provider.db") as connection:
        for statement in ("UPDATE movement SET amount_fen = 1", "DELETE FROM movement"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)
    connection.close()


def test_many_at_once_move_each_number_once(book: Book) -> None:
    def send(n: int) -> Transfer:
        return book.act("charge", order(str(n % 10), "shop", 7), NOW_MS)

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(send, range(80)))
    assert {one.status for one in done} == {"SUCCESS"}
    assert book.balances()["shop"] == 1000 - 70


@dataclass(frozen=True)
class Move:
    kind: str
    out_no: str
    account: str
    amount_fen: int


moves = st.builds(
    Move,
    st.sampled_from(["charge", "payout"]),
    st.sampled_from([str(n) for n in range(8)]),
    st.sampled_from(["shop", "venue", "nobody"]),
    st.integers(1, 900),
)


@pytest.mark.slow
@given(st.lists(moves, max_size=30))
@settings(max_examples=15)
def test_money_is_neither_made_nor_lost(tmp_path_factory: pytest.TempPathFactory, plan: list[Move]) -> None:
    book = Book(tmp_path_factory.mktemp("book") / "provider.db")
    book.add_merchant("platform", "key")
    book.top_up("shop", 1000)
    book.top_up("venue", 0)
    for move in plan:
        try:
            book.act(move.kind, order(move.out_no, move.account, move.amount_fen), NOW_MS)
        except Conflict:
            continue
    balances = book.balances()
    assert sum(balances.values()) == 1000
    assert min(balances.values()) >= 0
    lines = book.statement("platform", 0, NOW_MS + 1)
    assert balances["platform"] == sum(int(str(line["amount_fen"])) for line in lines)


def fund_move(book: Book, kind: str, out_no: str, amount_fen: int, now_ms: int = NOW_MS) -> Transfer:
    return book.act(kind, order(out_no, "order-1", amount_fen), now_ms)


def test_a_fund_yields_by_the_day_on_its_principal(book: Book) -> None:
    book.set_fund_rate(3, NOW_MS)
    book.act("charge", order("1", "shop", 1000), NOW_MS)
    book.top_up("platform", 99_000)
    assert fund_move(book, "fund_buy", "2", 100_000).status == "SUCCESS"
    assert fund_move(book, "fund_sell", "3", 50_000, NOW_MS + 2 * DAY_MS + 1).status == "SUCCESS"
    book.set_fund_rate(-1, NOW_MS + 3 * DAY_MS)
    closed = fund_move(book, "fund_close", "4", 50_000, NOW_MS + 5 * DAY_MS - 1)
    assert (closed.status, closed.yield_fen) == ("SUCCESS", 2 * 30 + 15 - 5)
    assert book.balances() == {"fund:platform:order-1": 0, "platform": 100_070, "shop": 0, "venue": 0}


def test_a_fund_gives_no_more_than_it_holds_and_is_closed_with_its_principal(book: Book) -> None:
    assert fund_move(book, "fund_buy", "1", 1).status == "INSUFFICIENT"
    assert fund_move(book, "fund_close", "2", 7).reason == "the principal of fund:platform:order-1 is 0 fen"
    assert fund_move(book, "fund_sell", "3", 1).status == "INSUFFICIENT"
    assert book.act("fund_sell", order("4", "another", 1), NOW_MS).status == "FAILED"
    with pytest.raises(sqlite3.IntegrityError):
        book.act("payout", order("5", "venue", 0), NOW_MS)


def test_a_fee_is_taken_beside_the_movement_and_never_without_money_for_it(book: Book) -> None:
    book.set_fee("charge", 6)
    book.set_fee("payout", 1)
    book.act("charge", order("1", "shop", 600), NOW_MS)
    assert book.act("payout", order("2", "venue", 594), NOW_MS).status == "INSUFFICIENT"
    assert book.act("payout", order("3", "venue", 593), NOW_MS).status == "SUCCESS"
    assert book.balances() == {"platform": 0, "shop": 400, "venue": 593}
    lines = book.statement("platform", 0, NOW_MS + 1)
    assert [(line["amount_fen"], line["fee_fen"]) for line in lines] == [(600, 6), (-593, 1)]


def test_a_top_up_is_paid_at_the_cashier(book: Book) -> None:
    waiting = book.act("top_up", order("1", None, 700), NOW_MS)
    assert (waiting.status, waiting.cashier_token is not None) == ("WAITING", True)
    book.settle("1", NOW_MS)
    assert book.balances()["platform"] == 700
