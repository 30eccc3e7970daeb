"""Orders of a distributor that paid in before: deducted at once, held when it does not suffice, given back at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
import sqlalchemy as sa

from sandbox_provider.faults import FaultKind
from sync_server.catalog.stock import add_stock
from sync_server.catalog.tables import product, stock
from sync_server.errors import NotAllowedError
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import balance, trial_balance
from sync_server.orders import applying, closing, paying, placing
from sync_server.orders.holders import Holder
from sync_server.orders.paying import Deducted, Short
from sync_server.orders.states import APPLICATION
from sync_server.orders.tables import issue_application, order, order_history
from sync_server.parties.parties import NewParty, add_party, set_funding
from sync_server.payments.tables import external_transfer
from sync_server.settlement import pass_refunds
from sync_server.settlement.item_status import statuses_of
from tests.sync_server.beside import assert_stock_comes_first
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import employ
from tests.sync_server.paying_in import top_up
from tests.sync_server.sandbox import World, money_flaws

HOUR_MS = 3_600_000
WEEK_MS = 7 * 24 * HOUR_MS
MINUTES_MS = 120_000
ONE_FEN = 5231  # one ticket with its fee


@pytest.fixture
def prepaid(world: World) -> World:
    """The world's distributor pays in before."""
    set_prepaid(world)
    return world


def set_prepaid(world: World, funding: str = "PREPAID", goes_on: bool = False) -> None:
    with world.centre.write() as connection:
        set_funding(connection, world.distributor, funding, goes_on, "contract", "test", world.centre.now_ms())


def pay_in(world: World, amount_fen: int) -> None:
    """P1."""
    top_up(world.centre, world.distributor, amount_fen)


def left(world: World) -> int:
    """What the distributor has with us, in fen."""
    with world.centre.read() as connection:
        return -balance(connection, Account("2010", world.distributor)).posted_fen


def posted(world: World) -> dict[str, int]:
    """The balances that are not 0."""
    with world.centre.read() as connection:
        assert money_flaws(connection) == []
        return {line.code: line.balance_fen for line in trial_balance(connection) if line.balance_fen}


def row_of(world: World, order_id: UUID) -> sa.Row[tuple[object, ...]]:
    with world.centre.read() as connection:
        return connection.execute(sa.select(order).where(order.c.id == order_id)).one()


def reserved_and_sold(world: World) -> tuple[int, int]:
    with world.centre.read() as connection:
        query = sa.select(stock.c.reserved, stock.c.sold).where(stock.c.product_id == world.single)
        reserved, sold = connection.execute(query).one()
    return reserved, sold


def apply(world: World, order_id: UUID) -> UUID | Deducted | Short:
    number = str(row_of(world, order_id).number)
    with world.centre.write() as connection:
        return applying.apply(connection, number, "travel", world.centre.now_ms())


def applications(world: World) -> list[str]:
    with world.centre.read() as connection:
        said = sa.select(issue_application.c.state).order_by(issue_application.c.applied_at_ms, issue_application.c.id)
        return list(connection.scalars(said))


def events(world: World, order_id: UUID) -> list[str]:
    with world.centre.read() as connection:
        mine = sa.select(order_history.c.event).where(order_history.c.order_id == order_id)
        return list(connection.scalars(mine.order_by(order_history.c.seq)))


def transfers_made(world: World) -> int:
    with world.centre.read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(external_transfer)) or 0


def test_the_single_ticket_prepaid_to_the_fen(prepaid: World) -> None:
    prepaid.sandbox.book.top_up("platform", 10_000)
    pay_in(prepaid, 100_000)
    order_id = prepaid.buy()
    assert prepaid.state(order_id) == "PAID"
    after_charge = {"1030": 100_000, "2010": -94_769, "2110": -5000, "2120": -200, "4010": -31}
    assert posted(prepaid) == after_charge  # 1010 unchanged
    prepaid.turn()
    assert prepaid.state(order_id) == "ISSUED"
    assert transfers_made(prepaid) == 0
    prepaid.enter(prepaid.items(order_id)[0])
    prepaid.turn()
    assert prepaid.state(order_id) == "COMPLETED"
    assert posted(prepaid) == {
        "1010": -4970, "1030": 100_000, "2010": -94_769, "4010": -31, "4020": -30, "4030": -200,
    }  # fmt: skip
    assert prepaid.sandbox.book.balances()["venue"] == 4970
    assert prepaid.sandbox.book.balances()["distributor"] == 100_000_000  # nobody charged it there


@pytest.mark.slow
def test_fifty_buyers_at_once_overdraw_nothing(prepaid: World) -> None:
    pay_in(prepaid, 10 * ONE_FEN + ONE_FEN - 1)
    bought = [prepaid.buy(pay=False) for _ in range(50)]

    def pay(order_id: UUID) -> UUID | Deducted | Short:
        with prepaid.centre.write() as connection:
            return paying.pay(connection, order_id, "travel", prepaid.centre.now_ms())

    with ThreadPoolExecutor(50) as pool:
        told = list(pool.map(pay, bought))
    assert told.count(Deducted()) == 10
    assert set(told) == {Deducted(), Short(1)}
    rows = [row_of(prepaid, order_id) for order_id in bought]
    assert sorted(str(row.state) for row in rows) == ["PAID"] * 10 + ["PENDING_PAYMENT"] * 40
    assert {row.hold for row in rows if row.state == "PENDING_PAYMENT"} == {"INSUFFICIENT"}
    assert left(prepaid) == ONE_FEN - 1
    assert posted(prepaid)["4010"] == -310
    assert reserved_and_sold(prepaid) == (40, 10)


def test_how_long_an_order_waits_for_a_top_up_is_its_products(prepaid: World, clock: Clock) -> None:
    with prepaid.centre.write() as connection:
        connection.execute(product.update().where(product.c.id == prepaid.single).values(hold_deadline_h=6))
    row = row_of(prepaid, prepaid.buy())
    assert (row.hold, row.hold_deadline_ms) == ("INSUFFICIENT", clock.now_ms + 6 * HOUR_MS)


def test_the_shortfall_is_named_and_a_top_up_alone_moves_nothing(prepaid: World, clock: Clock) -> None:
    pay_in(prepaid, 231)
    order_id = prepaid.buy()
    row = row_of(prepaid, order_id)
    until_ms = clock.now_ms + 24 * HOUR_MS
    assert (row.state, row.hold, row.hold_deadline_ms) == ("PENDING_PAYMENT", "INSUFFICIENT", until_ms)
    assert apply(prepaid, order_id) == Short(5000)
    assert Short(5009).words == "预存款不足，还差 50.09 元"
    with prepaid.centre.read() as connection:
        assert paying.lacking_fen(connection, row) == 5000
        assert [(one.number, one.amount_fen) for one in applying.queue(connection)] == [(row.number, ONE_FEN)]
    pay_in(prepaid, 4999)
    assert apply(prepaid, order_id) == Short(1)
    assert applications(prepaid) == ["APPLIED"]  # once, however often it asks
    pay_in(prepaid, 1)
    prepaid.turn()
    assert prepaid.state(order_id) == "PENDING_PAYMENT"
    assert apply(prepaid, order_id) == Deducted()
    assert (applications(prepaid), left(prepaid)) == (["RUN"], 0)
    prepaid.turn()
    assert prepaid.state(order_id) == "ISSUED"
    assert events(prepaid, order_id) == ["placed", "pay", "held", "applied", "paid", "issued"]
    with pytest.raises(NotAllowedError, match="waits for no top-up"):
        apply(prepaid, order_id)


def test_a_party_may_want_its_held_orders_to_go_on_by_themselves(prepaid: World, clock: Clock) -> None:
    first = prepaid.buy()
    clock.pass_ms(1)
    second = prepaid.buy()
    assert isinstance(apply(prepaid, first), Short)
    set_prepaid(prepaid, goes_on=True)
    prepaid.turn()
    assert (prepaid.state(first), prepaid.state(second)) == ("PENDING_PAYMENT", "PENDING_PAYMENT")
    pay_in(prepaid, 2 * ONE_FEN - 1)
    prepaid.turn()
    assert (prepaid.state(first), prepaid.state(second)) == ("ISSUED", "PENDING_PAYMENT")
    assert (applications(prepaid), left(prepaid)) == (["RUN"], ONE_FEN - 1)
    assert posted(prepaid)["2010"] == 1 - ONE_FEN


def test_the_hold_ends_at_its_deadline_and_what_was_applied_for_lapses(prepaid: World, clock: Clock) -> None:
    order_id = prepaid.buy()
    assert isinstance(apply(prepaid, order_id), Short)
    clock.pass_ms(24 * HOUR_MS - 1)
    prepaid.turn()
    assert prepaid.state(order_id) == "PENDING_PAYMENT"
    clock.pass_ms(1)
    pay_in(prepaid, ONE_FEN)
    with pytest.raises(NotAllowedError, match="waits no longer"):
        apply(prepaid, order_id)
    prepaid.turn()
    assert (prepaid.state(order_id), applications(prepaid)) == ("CLOSED_UNPAID", ["LAPSED"])
    assert reserved_and_sold(prepaid) == (0, 0)
    assert posted(prepaid) == {"1030": ONE_FEN, "2010": -ONE_FEN}


def test_a_held_order_is_cancelled_as_any_other(prepaid: World, clock: Clock) -> None:
    order_id = prepaid.buy()
    assert isinstance(apply(prepaid, order_id), Short)
    with prepaid.centre.write() as connection:
        closing.cancel(connection, str(row_of(prepaid, order_id).number), "not wanted", clock(), "travel")
    pay_in(prepaid, ONE_FEN)
    with pytest.raises(NotAllowedError, match="waits no longer"):
        apply(prepaid, order_id)
    prepaid.turn()
    assert (prepaid.state(order_id), applications(prepaid)) == ("CLOSED_UNPAID", ["LAPSED"])
    assert (reserved_and_sold(prepaid), left(prepaid)) == ((0, 0), ONE_FEN)


def test_an_application_of_an_order_that_is_not_held_is_a_flaw(prepaid: World) -> None:
    assert isinstance(apply(prepaid, prepaid.buy()), Short)
    with prepaid.centre.write() as connection:
        connection.execute(order.update().values(hold=None))
        assert [flaw for flaw in money_flaws(connection) if flaw.startswith("Q5 (an application to issue")]


def test_an_operator_runs_or_refuses_with_permission_and_reason(prepaid: World, clock: Clock) -> None:
    with prepaid.centre.write() as connection:
        add_party(connection, NewParty("PLATFORM", "1000", "平台", "Platform", "platform"), "Asia/Shanghai", clock())
    finance, outsider = employ(prepaid.centre, "qian", "finance"), employ(prepaid.centre, "zhao", "auditor")
    order_id = prepaid.buy()
    number = str(row_of(prepaid, order_id).number)

    with prepaid.centre.write() as connection:
        for who, reason, says in ((outsider, "please", "permission"), (finance, " ", "reason")):
            with pytest.raises(NotAllowedError, match=says):
                applying.run(connection, number, who, reason, clock())
        with pytest.raises(NotAllowedError, match="nobody applied"):
            applying.refuse(connection, number, finance, "no", clock())
    apply(prepaid, order_id)
    with prepaid.centre.write() as connection:
        applying.refuse(connection, number, finance, "no money came", clock())
    clock.pass_ms(1)
    apply(prepaid, order_id)
    assert applications(prepaid) == ["REFUSED", "APPLIED"]
    with prepaid.centre.write() as connection:
        assert applying.run(connection, number, finance, "seen on the bank's list", clock()) == Short(ONE_FEN)
    pay_in(prepaid, ONE_FEN)
    with prepaid.centre.write() as connection:
        assert applying.run(connection, number, finance, "seen on the bank's list", clock()) == Deducted()
    assert (prepaid.state(order_id), applications(prepaid)) == ("PAID", ["REFUSED", "RUN"])
    assert posted(prepaid)["4010"] == -31


@pytest.mark.parametrize("state", APPLICATION.words)
def test_the_application_machine(state: str) -> None:
    expected = {("APPLIED", "run"): "RUN", ("APPLIED", "refuse"): "REFUSED", ("APPLIED", "lapse"): "LAPSED"}
    for event in APPLICATION.events:
        assert APPLICATION.next(state, event) == expected.get((state, event))


def test_what_nobody_used_is_the_distributors_again_at_once(prepaid: World, clock: Clock) -> None:
    pay_in(prepaid, 10_462)
    order_id = prepaid.buy(2)
    prepaid.turn()
    set_prepaid(prepaid, "DIRECT_DEBIT")  # how this order was paid stands
    clock.pass_ms(WEEK_MS + MINUTES_MS)
    prepaid.turn()
    with prepaid.centre.read() as connection:
        assert [status.state for status in statuses_of(connection, order_id)] == ["EXPIRED REFUNDED"] * 2
    assert prepaid.state(order_id) == "CLOSED_REFUNDED"
    assert posted(prepaid) == {"1030": 10_462, "2010": 62 - 10_462, "4010": -62}  # the fee is not given back
    assert transfers_made(prepaid) == 0


def test_one_visited_and_one_given_back(prepaid: World, clock: Clock) -> None:
    prepaid.sandbox.book.top_up("platform", 10_000)
    pay_in(prepaid, 20_000)
    order_id = prepaid.buy(2)
    prepaid.turn()
    prepaid.enter(prepaid.items(order_id)[0])
    clock.pass_ms(WEEK_MS + MINUTES_MS)
    prepaid.turn()
    with prepaid.centre.read() as connection:
        states = [status.state for status in statuses_of(connection, order_id)]
    assert (states, prepaid.state(order_id)) == (["USED SETTLED", "EXPIRED REFUNDED"], "COMPLETED")
    assert posted(prepaid) == {
        "1010": -4970, "1030": 20_000, "2010": -(20_000 - 10_462 + 5200), "4010": -62, "4020": -30, "4030": -200,
    }  # fmt: skip


def test_an_application_charges_a_direct_debit_again_until_the_first_deadline(world: World, clock: Clock) -> None:
    world.sandbox.play(FaultKind.INSUFFICIENT, "charge", times=2)
    order_id = world.buy()
    world.turn()
    until_ms = row_of(world, order_id).hold_deadline_ms
    clock.pass_ms(HOUR_MS)
    assert isinstance(apply(world, order_id), UUID)
    assert row_of(world, order_id).hold is None
    world.turn()
    row = row_of(world, order_id)
    assert (row.hold, row.hold_deadline_ms) == ("INSUFFICIENT", until_ms)
    assert isinstance(apply(world, order_id), UUID)
    world.turn()
    assert (world.state(order_id), applications(world)) == ("ISSUED", ["RUN", "RUN"])
    assert posted(world)["1010"] == ONE_FEN


def test_an_annual_pass_is_deducted_fails_short_and_goes_back(prepaid: World, clock: Clock) -> None:
    who = (Holder("李小花", "11010519491231002X", "13812341234"),)
    with prepaid.centre.write() as connection:
        placed = placing.place(
            prepaid.centre, connection, placing.NewOrder(2, 1, "其他", prepaid.distributor, who), "t"
        )
        assert isinstance(placed, placing.Placed)
        assert paying.pay(connection, placed.order_id, "test", clock.now_ms) == Short(19_919)
    assert prepaid.state(placed.order_id) == "PAY_FAILED"
    pay_in(prepaid, 30_000)
    with prepaid.centre.write() as connection:
        assert paying.pay(connection, placed.order_id, "test", clock.now_ms) == Deducted()
    prepaid.turn()
    assert posted(prepaid) == {"1030": 30_000, "2010": -10_081, "2510": -19_800, "4010": -119}
    with prepaid.centre.write() as connection:
        pass_refunds.refund_pass(connection, placed.number, "moved away", clock.now_ms, "test", 15_000)
    assert prepaid.state(placed.order_id) == "REFUNDED"
    assert posted(prepaid) == {"1030": 30_000, "2010": -25_081, "4010": -119, "4050": -4800}


def test_planted_flaws_of_prepaid_orders_are_named(prepaid: World, clock: Clock) -> None:
    set_prepaid(prepaid, "DIRECT_DEBIT")
    prepaid.buy()
    prepaid.turn()
    clock.pass_ms(WEEK_MS + MINUTES_MS)
    prepaid.turn()
    with prepaid.centre.write() as connection:
        connection.execute(order.update().values(funding="PREPAID"))
        flaws = "\n".join(money_flaws(connection))
    assert "I6 (a prepaid order was taken from its distributor's account" in flaws
    assert "I4 (a prepaid item's money is its distributor's again" in flaws


@pytest.mark.postgres
def test_the_stock_of_all_that_go_on_is_locked_before_any_account(postgres_world: World, clock: Clock) -> None:
    world = postgres_world
    set_prepaid(world, goes_on=True)
    with world.centre.write() as connection:
        connection.execute(stock.update().where(stock.c.product_id == world.single).values(total=1))
        further = add_stock(connection, world.single, 5200, 1, clock.now_ms)
    first = world.buy()
    clock.pass_ms(1)
    last = world.buy()
    pay_in(world, 2 * ONE_FEN)
    assert_stock_comes_first(world.centre, further, lambda: applying.go_on_after_top_up(world.centre))
    assert (world.state(first), world.state(last)) == ("PAID", "PAID")
