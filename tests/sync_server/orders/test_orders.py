"""Placing, paying and following orders; the holder's data; one live pass per person."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import UUID

import pytest
import requests
import sqlalchemy as sa

from sandbox_provider.faults import FaultKind
from sync_server.catalog.stock import OutOfStock
from sync_server.catalog.tables import stock
from sync_server.errors import NotAllowedError
from sync_server.id_numbers import person_index
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import Balance, balance
from sync_server.orders import paying, placing, progress
from sync_server.orders.claims import Claim, claim_items
from sync_server.orders.holders import Holder, holder_of
from sync_server.orders.refusals import AlreadyHeld, Unfit
from sync_server.orders.states import MACHINES, next_state
from sync_server.orders.tables import holder, order, order_history, order_item, ticket
from sync_server.parties.tables import party
from sync_server.payments import transfers
from sync_server.payments.tables import external_transfer
from tests.sync_server.beside import Beside
from tests.sync_server.conftest import Clock
from tests.sync_server.orders.test_closing import a_pass
from tests.sync_server.sandbox import World, money_flaws

HOUR_MS = 3_600_000
LI = Holder("李小花", "11010519491231002X", "13812341234")
ANNUAL = placing.NewOrder(2, 1, "其他", None, (LI,), "13900000000")


def place(world: World, new: placing.NewOrder) -> object:
    with world.centre.write() as connection:
        return placing.place(world.centre, connection, new, "test")


def placed(world: World, new: placing.NewOrder) -> placing.Placed:
    outcome = place(world, new)
    assert isinstance(outcome, placing.Placed), outcome
    return outcome


def count(world: World, table: sa.Table) -> int:
    with world.centre.read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def reserved_and_sold(world: World) -> list[tuple[int, int]]:
    with world.centre.read() as connection:
        query = sa.select(stock.c.reserved, stock.c.sold).where(stock.c.product_id == world.single)
        return [tuple(row) for row in connection.execute(query)]


# money.md §2.4 and §2.5, written down by hand a second time: "<state> <event> <next>"
LEGAL = {
    "TICKET": """
        PENDING_PAYMENT pay PENDING_PAYMENT, PENDING_PAYMENT held PENDING_PAYMENT,
        PENDING_PAYMENT resumed PENDING_PAYMENT, PENDING_PAYMENT paid PAID,
        PENDING_PAYMENT cancelled CLOSED_UNPAID, PENDING_PAYMENT timed_out CLOSED_UNPAID,
        CLOSED_UNPAID paid_late CLOSED_UNPAID, PAID issued ISSUED,
        PAID issue_failed ISSUE_FAILED, ISSUE_FAILED refunded CLOSED_REFUNDED,
        ISSUED finished COMPLETED, ISSUED forfeited COMPLETED, ISSUED refunded CLOSED_REFUNDED,
        CLOSED_REFUNDED refund_undone ISSUED, CLOSED_REFUNDED unissued_refund_undone ISSUE_FAILED
    """,
    "PASS": """
        PENDING_PAYMENT pay PENDING_PAYMENT, PAY_FAILED pay PENDING_PAYMENT, PENDING_PAYMENT pay_failed PAY_FAILED,
        PENDING_PAYMENT cancelled CANCELLED, PAY_FAILED cancelled CANCELLED,
        PENDING_PAYMENT timed_out TIMED_OUT, PAY_FAILED timed_out TIMED_OUT,
        CANCELLED paid_late CANCELLED, TIMED_OUT paid_late TIMED_OUT,
        PENDING_PAYMENT paid ISSUING, PAY_FAILED paid ISSUING, ISSUING issued ISSUED, ISSUING issue_failed ISSUE_FAILED,
        ISSUED refund REFUNDING, ISSUE_FAILED refund REFUNDING, REFUND_FAILED refund REFUNDING,
        REFUNDING refund_failed REFUND_FAILED, REFUNDING refunded REFUNDED, REFUND_FAILED refunded REFUNDED,
        REFUNDED refund_undone REFUND_FAILED
    """,
}


def legal(kind: str) -> dict[tuple[str, str], str]:
    """Where each event leads that has a place."""
    return {(state, event): after for state, event, after in (row.split() for row in LEGAL[kind].split(","))}


@pytest.mark.parametrize("kind", ["TICKET", "PASS"])
def test_the_cross_product_of_states_and_events(kind: str) -> None:
    """In the tables; on real rows: test_ticket_order_walk, test_pass_order_walk."""
    machine, cells = MACHINES[kind], legal(kind)
    for state in machine.words:
        for event in machine.events:
            assert next_state(kind, state, event) == cells.get((state, event)), (state, event)
    assert set(machine.words) == {state for key, after in cells.items() for state in (key[0], after)}


def test_prices_fees_and_shares_are_frozen_on_the_order(world: World) -> None:
    made = placed(world, placing.NewOrder(1, 3, "其他", world.distributor))
    assert made.amount_fen == 3 * 5200 + 94  # 0.60 % of 15600 = 93.6
    with world.centre.read() as connection:
        row = connection.execute(sa.select(order)).one()
        items = connection.execute(sa.select(order_item)).all()
        numbers = connection.scalars(sa.select(ticket.c.number).order_by(ticket.c.seq)).all()
    assert (row.dist_price_fen, row.charge_fee_fen, row.paid_fen, row.state) == (15600, 94, 0, "PENDING_PAYMENT")
    assert {(item.venue_price_fen, item.share_fen, item.payout_fee_fen) for item in items} == {(5000, 5200, 30)}
    assert numbers == [f"{made.number}{seq:03d}" for seq in (1, 2, 3)]
    assert reserved_and_sold(world) == [(3, 0)]


def test_an_order_that_cannot_be_taken_leaves_nothing(world: World) -> None:
    assert place(world, placing.NewOrder(1, 100, "其他", world.distributor, (LI,))) == Unfit(
        "100 tickets need 100 holders, not 1"
    )
    with world.centre.write() as connection:
        connection.execute(stock.update().values(total=1))
    assert place(world, placing.NewOrder(1, 2, "其他", world.distributor)) == OutOfStock(1)
    placed(world, ANNUAL)
    with world.centre.write() as connection:
        connection.execute(stock.update().values(total=5))
    assert place(world, replace(ANNUAL, holders=(replace(LI, name="李花"),))) == AlreadyHeld("李花")
    assert (count(world, order), count(world, ticket), count(world, holder)) == (1, 1, 1)
    assert reserved_and_sold(world) == [(0, 0)]


def test_only_a_distributor_pays_for_others(world: World) -> None:
    with world.centre.read() as connection:
        venue = connection.scalars(sa.select(party.c.id).where(party.c.kind == "VENUE").limit(1)).one()
    made = place(world, placing.NewOrder(1, 1, "其他", venue))
    assert isinstance(made, Unfit), "else the venue's account is charged"
    assert "distributor" in made.reason


def test_what_is_wrong_with_an_order_is_said(world: World) -> None:
    cases: list[tuple[dict[str, object], str]] = [
        ({"holders": ()}, "needs its holders"),
        ({"count": 7, "holders": (LI,) * 7}, "1 to 6 travellers"),
        ({"count": 2, "holders": (LI, LI), "distributor_id": world.distributor}, "one by one"),
        ({"channel": "nowhere"}, "through the channel"),
        ({"sub_channel": "x" * 33}, "1 to 32"),
        ({"count": 0}, "1 to 200"),
        ({"count": 201}, "1 to 200"),
        ({"holders": (replace(LI, id_number=None),)}, "ID number and phone"),
        ({"holders": (replace(LI, id_number="110105194912310021"),)}, "check digit"),
        ({"holders": (replace(LI, id_number="A" * 30),)}, "letters and digits"),
        ({"holders": (replace(LI, phone="+"),)}, "6 to 15 digits"),
        ({"holders": (replace(LI, name=""),)}, "printable"),
        ({"buyer_phone": "abc"}, "the buyer's phone"),
        ({"holders": (replace(LI, name="李\n花"),)}, "printable"),
    ]
    for change, says in cases:
        outcome = place(world, replace(ANNUAL, **change))  # type: ignore[arg-type]  # the fields of the case
        assert isinstance(outcome, Unfit), change
        assert says in outcome.reason


def test_a_visitor_pays_at_the_cashier(world: World) -> None:
    made = placed(world, ANNUAL)
    with world.centre.write() as connection:
        transfer_id = paying.pay(connection, made.order_id, "test", world.centre.now_ms(), caller_sends=True)
    assert isinstance(transfer_id, UUID)
    assert transfers.move_due(world.centre, world.clients) == 0  # the caller goes first
    transfers.move_now(world.centre, world.clients, transfer_id)
    with world.centre.read() as connection:
        url = transfers.pay_url(connection, transfer_id)
        assert balance(connection, Account("1010")) == Balance(0, 19800)
    assert url is not None
    assert "¥198.00" in requests.get(url, timeout=5).text
    assert "已支付" in requests.post(url, timeout=5).text
    assert "已支付" in requests.post(url, timeout=5).text
    world.centre.now_ms.pass_ms(HOUR_MS)  # type: ignore[attr-defined]  # the test's clock
    world.turn()
    assert world.state(made.order_id) == "ISSUED"
    with world.centre.read() as connection:
        assert balance(connection, Account("1010")) == Balance(19800, 0)
        assert balance(connection, Account("2510", made.order_id)).posted_fen == -19800
        assert money_flaws(connection) == []


def test_the_pay_command_twice_is_one_transfer(world: World, clock: Clock) -> None:
    made = placed(world, ANNUAL)
    ids = set()
    for _ in range(2):
        with world.centre.write() as connection:
            ids.add(paying.pay(connection, made.order_id, "test", clock.now_ms))
    assert len(ids) == 1


def test_too_late_to_pay_and_paid_already_are_refused(world: World, clock: Clock) -> None:
    made = placed(world, ANNUAL)
    with pytest.raises(NotAllowedError, match="earlier"), world.centre.write() as connection:
        paying.pay(connection, made.order_id, "test", clock.now_ms + 30 * 60_000)
    order_id = world.buy()
    world.turn()
    with pytest.raises(NotAllowedError, match="ISSUED"), world.centre.write() as connection:
        paying.pay(connection, order_id, "test", clock.now_ms)


def test_a_distributor_without_money_holds_the_order(world: World, clock: Clock) -> None:
    world.sandbox.play(FaultKind.INSUFFICIENT, "charge")
    order_id = world.buy()
    world.turn()
    with world.centre.read() as connection:
        row = connection.execute(sa.select(order)).one()
        transfer_id = connection.scalar(sa.select(external_transfer.c.id))
    assert (row.state, row.hold, row.hold_deadline_ms) == (
        "PENDING_PAYMENT",
        "INSUFFICIENT",
        clock.now_ms + 24 * HOUR_MS,
    )
    assert transfer_id is not None
    with world.centre.write() as connection:
        transfers.begin_again(connection, transfer_id, clock.now_ms)
    world.turn()
    assert world.state(order_id) == "ISSUED"
    assert reserved_and_sold(world) == [(0, 1)]
    with world.centre.read() as connection:
        events = connection.scalars(sa.select(order_history.c.event).order_by(order_history.c.seq)).all()
    assert events == ["placed", "pay", "held", "paid", "issued"]


def test_personal_data_is_sealed_masked_and_found_by_index(world: World) -> None:
    placed(world, ANNUAL)
    with world.centre.read() as connection:
        row = connection.execute(sa.select(holder)).one()
        assert holder_of(connection, world.centre.secrets, row.ticket_id) == LI
    assert (row.name_masked, row.id_number_masked, row.phone_masked) == ("李*花", "1101**********002X", "138****1234")
    assert row.id_number_index == person_index(world.centre.secrets, " 11010519491231002x")
    stored = b"".join(value for value in row if isinstance(value, bytes))
    assert not [plain for plain in ("李小花", "11010519491231002X", "13812341234") if plain.encode() in stored]


def test_an_ended_pass_gives_way_to_the_next(world: World, clock: Clock) -> None:
    made = placed(world, ANNUAL)
    with world.centre.write() as connection:
        connection.execute(order.update().values(state="ISSUING", paid_fen=order.c.dist_price_fen))
        end = 1_000_000_000
        progress.mark_issued(connection, made.order_id, 1000, 4_000_000, clock.now_ms)
    assert isinstance(place(world, ANNUAL), AlreadyHeld)
    clock.pass_ms(end * 1000)
    placed(world, ANNUAL)


def test_one_person_orders_one_pass_also_from_many_tabs(world: World) -> None:
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda _tab: place(world, ANNUAL), range(8)))
    assert sum(isinstance(outcome, placing.Placed) for outcome in outcomes) == 1
    assert count(world, order) == 1


def test_an_item_ends_once(world: World) -> None:
    order_id = world.buy()
    world.turn()
    (item,) = world.items(order_id)

    def claim(n: int) -> int:
        with world.centre.write() as connection:
            return len(claim_items(connection, [Claim(item, "REDEEM", f"{n}", 1)], 1))

    with ThreadPoolExecutor(6) as pool:
        won = list(pool.map(claim, range(6)))
    assert sum(won) == 1
    assert claim(won.index(1)) == 1  # the winner asks again
    with world.centre.write() as connection:
        assert claim_items(connection, [Claim(item, "REFUND", "requested", 1)], 1) == set()


@pytest.mark.postgres
def test_payments_are_taken_with_the_stock_of_all_locked_in_order(postgres_world: World, clock: Clock) -> None:
    """Whoever has the lower stock row gets the higher one, too, though the first order is of that."""
    world = postgres_world
    buy = {world.single: world.buy, world.annual: lambda: a_pass(world)}
    with world.centre.read() as connection:
        lower, higher = connection.execute(sa.select(stock.c.id, stock.c.product_id).order_by(stock.c.id)).all()
    first = buy[higher.product_id]()
    clock.pass_ms(1)
    last = buy[lower.product_id]()
    with world.centre.write() as connection:
        connection.execute(
            external_transfer.update().values(state="SUCCEEDED", provider_ref=external_transfer.c.subject_key)
        )
    row = sa.select(stock.c.id).with_for_update(nowait=True)
    with world.centre.write() as connection:
        connection.execute(row.where(stock.c.id == lower.id))
        later = Beside(world.centre, lambda: progress.take_payments(world.centre))
        connection.execute(row.where(stock.c.id == higher.id))
    later.finish()
    assert {world.state(first), world.state(last)} == {"PAID", "ISSUING"}
