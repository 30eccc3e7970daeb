"""Money in a fund: bought, sold at cost, closed with what only the provider knows, and the book has the same."""

from __future__ import annotations

from uuid import UUID

import pytest
import sqlalchemy as sa

from sandbox_provider.faults import Fault, FaultKind
from sync_server.audit.tables import event_log
from sync_server.db import new_id
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import balance
from sync_server.ledger.book import legs
from sync_server.payments import transfers
from sync_server.payments.applying import apply
from sync_server.payments.provider import Succeeded
from sync_server.payments.providers import CLEARING
from sync_server.payments.tables import external_transfer
from tests.sync_server.conftest import Clock
from tests.sync_server.sandbox import World, money_flaws

HOUR_MS = 3_600_000
HERE = CLEARING["HUIJINBAO"]
WORDS = {"FUND_SELL": "fundsell", "FUND_CLOSE": "fundclose"}
"""What the keys of their transactions begin with."""


class Fund:
    """One order's fund at Huijinbao, with money there to invest."""

    def __init__(self, world: World, invested_fen: int = 11_000) -> None:
        self.world, self.order_id = world, new_id(world.centre.now_ms())
        self.account = Account("1110", self.order_id)
        world.sandbox.huijinbao.book.top_up("platform", invested_fen)
        self.move("FUND_BUY", "fundbuy", invested_fen, buys=True)

    def move(self, kind: str, key: str, amount_fen: int, *, buys: bool = False) -> UUID:
        """Ask for a movement and let the worker try it."""
        ours_fen = amount_fen if buys else -amount_fen
        wanted = transfers.Request(
            kind=kind,
            subject_key=f"{key}:{self.order_id.hex}",
            subject_id=self.order_id,
            provider="HUIJINBAO",
            party_id=None,
            account_ref=self.order_id.hex,
            amount_fen=amount_fen,
            title="联票理财",
            legs=legs((self.account, ours_fen), (HERE, -ours_fen)),
        )
        with self.world.centre.write() as connection:
            ids = transfers.request(connection, [wanted], "test", self.world.centre.now_ms())
        transfers.move_due(self.world.centre, self.world.clients)
        return ids[wanted.subject_key]

    def yields(self, fen: int) -> None:
        now_ms = self.world.centre.now_ms()
        self.world.sandbox.huijinbao.book.set_fund_yield("platform", self.order_id.hex, fen, now_ms)

    def booked(self, *codes: str) -> tuple[int, ...]:
        """Posted balances: of the fund, then of the clearing account, then of these codes."""
        accounts = (self.account, HERE, *map(Account, codes))
        with self.world.centre.read() as connection:
            assert money_flaws(connection) == []
            return tuple(balance(connection, account).posted_fen for account in accounts)

    def states(self) -> dict[str, str]:
        with self.world.centre.read() as connection:
            rows = connection.execute(sa.select(external_transfer.c.kind, external_transfer.c.state))
            return {row.kind: row.state for row in rows}


def test_what_is_sold_is_at_cost_and_closing_brings_the_yield(world: World) -> None:
    fund = Fund(world)
    fund.move("FUND_SELL", "fundsell", 5000)
    assert fund.booked("4040") == (6000, -6000, 0)
    fund.yields(87)
    closed = fund.move("FUND_CLOSE", "fundclose", 6000)
    assert fund.booked("4040", "5030") == (0, 87, -87, 0)
    assert world.sandbox.huijinbao.book.balances()["platform"] == 11_087
    with world.centre.read() as connection:
        query = sa.select(external_transfer.c.amount_fen, external_transfer.c.yield_fen)
        assert connection.execute(query.where(external_transfer.c.id == closed)).one() == (6000, 87)


@pytest.mark.parametrize("yield_fen", [-40, -11_000, -99_999])
def test_a_loss_is_booked_and_takes_no_more_than_there_is(world: World, yield_fen: int) -> None:
    fund = Fund(world)
    fund.yields(yield_fen)
    fund.move("FUND_CLOSE", "fundclose", 11_000)
    lost_fen = min(11_000, -yield_fen)
    assert fund.booked("5030", "4040") == (0, -lost_fen, lost_fen, 0)
    assert world.sandbox.huijinbao.book.balances()["platform"] == 11_000 - lost_fen


@pytest.mark.parametrize("yield_fen", [0, 12])
def test_a_fund_that_holds_only_its_yield_is_closed_too(world: World, yield_fen: int) -> None:
    fund = Fund(world)
    fund.move("FUND_SELL", "fundsell", 11_000)
    fund.yields(yield_fen)
    fund.move("FUND_CLOSE", "fundclose", 0)
    assert fund.states() == {"FUND_BUY": "SUCCEEDED", "FUND_SELL": "SUCCEEDED", "FUND_CLOSE": "SUCCEEDED"}
    assert fund.booked("4040") == (0, yield_fen, -yield_fen)


def test_a_fund_of_which_nothing_is_left_can_be_given_up(world: World) -> None:
    fund = Fund(world)
    fund.move("FUND_SELL", "fundsell", 11_000)
    world.sandbox.huijinbao.faults.add(Fault(FaultKind.REFUSED, "fund_close"))
    closed = fund.move("FUND_CLOSE", "fundclose", 0)
    with world.centre.write() as connection:
        transfers.abandon(connection, closed, "closed by hand", "test", world.centre.now_ms())
    assert fund.states()["FUND_CLOSE"] == "VOID"


def test_another_principal_than_ours_closes_nothing(world: World) -> None:
    fund = Fund(world)
    fund.move("FUND_CLOSE", "fundclose", 10_999)
    assert fund.states()["FUND_CLOSE"] == "DEFINITE_FAIL"
    assert world.sandbox.huijinbao.book.balances()["platform"] == 0


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("FUND_CLOSE", Succeeded("P1", 10_999, 1)),
        ("FUND_CLOSE", Succeeded("P1", 11_000, -11_001)),
        ("FUND_SELL", Succeeded("P1", 11_000, 1)),
    ],
)
def test_a_yield_that_cannot_be_is_not_believed_and_is_an_alarm(world: World, kind: str, answer: Succeeded) -> None:
    fund = Fund(world)
    world.sandbox.huijinbao.faults.add(Fault(FaultKind.LOST_REQUEST, kind.lower()))
    transfer_id = fund.move(kind, WORDS[kind], 11_000)
    with world.centre.write() as connection:
        assert apply(connection, transfer_id, 1, answer, world.centre.now_ms()) == "UNKNOWN"
        contradiction = event_log.c.action == "transfer.contradiction"
        assert connection.scalar(sa.select(sa.func.count()).where(contradiction)) == 1
    assert fund.booked("4040") == (11_000, -11_000, 0)


@pytest.mark.parametrize("kind", [FaultKind.LOST_ANSWER, FaultKind.LOST_REQUEST, FaultKind.NONSENSE])
def test_a_lost_answer_to_a_fund_move_is_asked_for_and_moved_once(world: World, clock: Clock, kind: FaultKind) -> None:
    fund = Fund(world)
    fund.yields(87)
    for method, amount_fen in (("FUND_SELL", 5000), ("FUND_CLOSE", 6000)):
        world.sandbox.huijinbao.faults.add(Fault(kind, method.lower()))
        fund.move(method, WORDS[method], amount_fen)
        assert fund.states()[method] == "UNKNOWN"
        clock.pass_ms(HOUR_MS)
        transfers.move_due(world.centre, world.clients)
    assert fund.booked("4040") == (0, 87, -87)
    assert [line["amount_fen"] for line in world.sandbox.huijinbao.book.statement("platform", 0, 1 << 60)] == [
        -11_000,
        5000,
        6087,
    ]


def test_too_little_to_invest_waits_for_a_person(world: World) -> None:
    world.sandbox.huijinbao.faults.add(Fault(FaultKind.INSUFFICIENT, "fund_buy"))
    fund = Fund(world)
    assert fund.states() == {"FUND_BUY": "INSUFFICIENT"}
    assert fund.booked() == (0, 0)
