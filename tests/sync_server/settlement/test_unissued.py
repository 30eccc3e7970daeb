"""Tickets that cannot be issued: told after an hour, given back whole by a person, and never issued then."""

from __future__ import annotations

import json
from collections.abc import Iterator
from uuid import UUID

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from sandbox_provider.faults import FaultKind
from sync_server import setbacks
from sync_server.catalog.tables import product
from sync_server.centre import Centre
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.issuance.issuing import issue_order, issue_paid_orders
from sync_server.issuance.tables import issued_pass
from sync_server.jobs.long_setbacks import tell_long_setbacks
from sync_server.keys import key_set
from sync_server.orders import paying, placing
from sync_server.orders.holders import Holder
from sync_server.orders.progress import GIVE_UP_ISSUING_MS, issuing_failed, mark_issued
from sync_server.orders.tables import item_claim, order, order_item
from sync_server.parties.parties import NewParty, add_party
from sync_server.settlement import unissued
from sync_server.settlement.commands import refund
from sync_server.settlement.item_states import refund_status
from sync_server.settlement.overdue import NOT_ISSUED_AFTER_MS, overdue, tell_overdue
from tests.sync_server.beside import Beside, assert_stock_comes_first
from tests.sync_server.combo_world import ComboWorld
from tests.sync_server.conftest import Clock
from tests.sync_server.notices.test_events import told
from tests.sync_server.operators import PASSWORD, employ
from tests.sync_server.orders.test_prepaid import pay_in, reserved_and_sold, set_prepaid
from tests.sync_server.sandbox import Sandbox, World, money_flaws
from tests.sync_server.settlement.test_balance_checks import named, planted
from tests.sync_server.settlement.test_expiring import assert_books_agree, posted, states
from tests.sync_server.test_checks import without_triggers

ALL_FEN = 100_000_000


@pytest.fixture
def stuck(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Nothing is issued."""
    monkeypatch.setattr(world, "issue", lambda: None)
    return world


def number_of(world: World, order_id: UUID) -> str:
    with world.centre.read() as connection:
        return str(connection.scalars(sa.select(order.c.number).where(order.c.id == order_id)).one())


def give_back(world: World, order_id: UUID) -> int:
    number = number_of(world, order_id)
    with world.centre.write() as connection:
        return unissued.give_back(connection, number, "没有签发密钥", world.centre.now_ms(), "operator")


def paid_an_hour_ago(world: World, clock: Clock, count: int = 1) -> UUID:
    order_id = world.buy(count)
    world.turn()
    assert world.state(order_id) == "PAID"
    clock.pass_ms(GIVE_UP_ISSUING_MS)
    return order_id


def test_all_of_it_goes_back_and_the_stock_is_free_again(stuck: World, clock: Clock) -> None:
    order_id = paid_an_hour_ago(stuck, clock, 3)
    assert posted(stuck) == {"1010": 15_694, "2110": -15_000, "2120": -600, "4010": -94}
    assert give_back(stuck, order_id) == 15_694
    assert posted(stuck) == {"1010": 15_694, "2310": -15_694}
    assert (stuck.state(order_id), reserved_and_sold(stuck)) == ("ISSUE_FAILED", (0, 0))
    assert (states(stuck, order_id), refund_status(states(stuck, order_id))) == (
        ["CANCELLED REFUND_DUE"] * 3,
        "退款待处理",
    )
    with stuck.centre.read() as connection:
        assert money_flaws(connection) == []
    stuck.turn()
    assert (stuck.state(order_id), states(stuck, order_id)) == ("CLOSED_REFUNDED", ["CANCELLED REFUNDED"] * 3)
    assert (posted(stuck), stuck.sandbox.book.balances()["distributor"]) == ({}, ALL_FEN)
    assert_books_agree(stuck)
    said = {"order": number_of(stuck, order_id), "amount": "156.94"}
    assert told(stuck.centre) == [{"kind": "not_issued", "about": stuck.distributor, **said}]


def test_what_was_prepaid_is_the_distributors_again_at_once(stuck: World, clock: Clock) -> None:
    set_prepaid(stuck)
    pay_in(stuck, 6000)
    order_id = paid_an_hour_ago(stuck, clock)
    give_back(stuck, order_id)
    assert posted(stuck) == {"1030": 6000, "2010": -6000}
    stuck.turn()
    assert stuck.state(order_id) == "CLOSED_REFUNDED"
    assert_books_agree(stuck)


def test_a_fee_that_goes_back_anyhow_goes_back_once(stuck: World, clock: Clock) -> None:
    with stuck.centre.write() as connection:
        connection.execute(product.update().values(refund_charge_fee=True))
    give_back(stuck, paid_an_hour_ago(stuck, clock, 2))
    stuck.turn()
    assert posted(stuck) == {}
    assert_books_agree(stuck)


def test_a_refund_that_fails_is_tried_on_and_the_order_waits(stuck: World, clock: Clock) -> None:
    order_id = paid_an_hour_ago(stuck, clock)
    stuck.sandbox.play(FaultKind.REFUSED, "refund")
    give_back(stuck, order_id)
    stuck.turn()
    assert (stuck.state(order_id), states(stuck, order_id)) == ("ISSUE_FAILED", ["CANCELLED REFUND_FAILED"])
    with stuck.centre.read() as connection:
        assert setbacks.listed(connection) == []  # no step takes it for an annual pass
    clock.pass_ms(3_600_000)
    stuck.turn()
    assert (stuck.state(order_id), posted(stuck)) == ("CLOSED_REFUNDED", {})


def test_what_nobody_decides_on_is_told_again_and_so_is_a_late_refund(stuck: World, clock: Clock) -> None:
    order_id, since_ms = stuck.buy(), clock()
    stuck.turn()

    def late() -> list[tuple[str, UUID, int, int, str]]:
        with stuck.centre.read() as connection:
            return [one[:5] for one in overdue(connection, clock(), 24) if one.what == "NOT_ISSUED"]

    clock.pass_ms(NOT_ISSUED_AFTER_MS - 1)
    assert (late(), tell_overdue(stuck.centre)) == ([], 0)
    clock.pass_ms(1)
    assert late() == [("NOT_ISSUED", order_id, 5231, since_ms, "PAID")]
    assert (tell_overdue(stuck.centre), tell_overdue(stuck.centre)) == (1, 0)
    stuck.sandbox.play(FaultKind.REFUSED, "refund")
    give_back(stuck, order_id)
    given_up_ms = clock()
    stuck.turn()
    assert late() == []
    clock.pass_ms(NOT_ISSUED_AFTER_MS)
    assert late() == [("NOT_ISSUED", order_id, 5231, given_up_ms, "ISSUE_FAILED")]
    stuck.turn()
    assert (late(), stuck.state(order_id)) == ([], "CLOSED_REFUNDED")


@pytest.fixture
def combos(any_centre: Centre, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[ComboWorld]:
    made = ComboWorld(any_centre, sandbox)
    monkeypatch.setattr(made, "issue", lambda: None)
    yield made
    made.close()


def test_of_a_combo_nothing_was_invested(combos: ComboWorld, clock: Clock) -> None:
    order_id = combos.buy_combo(2)
    combos.turn()
    clock.pass_ms(GIVE_UP_ISSUING_MS)
    give_back(combos, order_id)
    for _ in range(2):
        combos.turn()
    assert (combos.state(order_id), combos.posted()) == ("CLOSED_REFUNDED", {})
    combos.assert_books_agree()


def test_only_what_is_paid_for_an_hour_and_not_issued_goes_back(world: World, clock: Clock) -> None:
    order_id = world.buy()
    with pytest.raises(NotAllowedError, match="is PENDING_PAYMENT"):
        give_back(world, order_id)
    with pytest.raises(NotFoundError), world.centre.write() as connection:
        unissued.give_back(connection, "0", "why", clock(), "operator")
    with pytest.raises(NotAllowedError, match="reason"), world.centre.write() as connection:
        unissued.give_back(connection, number_of(world, order_id), " ", clock(), "operator")
    world.turn()
    with pytest.raises(NotAllowedError, match="is ISSUED"):
        give_back(world, order_id)


def test_not_before_an_hour_and_never_by_itself(stuck: World, clock: Clock) -> None:
    order_id = stuck.buy()
    stuck.turn()
    clock.pass_ms(GIVE_UP_ISSUING_MS - 60_001)
    with pytest.raises(NotAllowedError, match="try again in 2 minutes"):
        give_back(stuck, order_id)
    clock.pass_ms(2 * GIVE_UP_ISSUING_MS)
    with stuck.centre.write() as connection:
        assert not issuing_failed(connection, order_id, "no key", clock(), "test")
    assert stuck.state(order_id) == "PAID"


def test_who_was_told_decides_and_it_is_tried_no_more(stuck: World, clock: Clock) -> None:
    order_id = stuck.buy()
    stuck.turn()
    assert issue_paid_orders(stuck.centre) == 0  # there is no key
    clock.pass_ms(GIVE_UP_ISSUING_MS)
    assert (issue_paid_orders(stuck.centre), tell_long_setbacks(stuck.centre)) == (0, 1)
    give_back(stuck, order_id)
    with stuck.centre.read() as connection:
        assert setbacks.listed(connection) == []
    key_set.create_first(stuck.centre)
    assert issue_paid_orders(stuck.centre) == 0


def test_a_person_with_the_permission_gives_it_back_by_a_command(stuck: World, clock: Clock) -> None:
    with stuck.centre.write() as connection:
        add_party(connection, NewParty("PLATFORM", "1000", "平台", "Platform", "platform"), "Asia/Shanghai", clock())
    employ(stuck.centre, "qian", "finance")
    employ(stuck.centre, "zhao", "auditor")
    number = number_of(stuck, paid_an_hour_ago(stuck, clock))

    def run(account: str) -> tuple[int, str]:
        words = ["order", number, "--reason", "no key", "--organisation", "1000", "--account", account]
        done = CliRunner().invoke(refund, words, obj=lambda: stuck.centre, input=f"{PASSWORD}\n")
        return done.exit_code, done.stdout if done.exit_code == 0 else str(done.exception)

    assert "permission orders.refund" in run("zhao")[1]
    code, said = run("qian")
    assert (code, json.loads(said[said.index("{") :])) == (
        0,
        {"order": number, "state": "ISSUE_FAILED", "amount_fen": 5231},
    )


@pytest.mark.postgres
def test_whoever_issues_beside_it_wins_whole_or_loses_whole(postgres_world: World, clock: Clock) -> None:
    world = postgres_world
    key_set.create_first(world.centre)
    world.issue = lambda: None  # type: ignore[method-assign]  # by hand below
    first, second = paid_an_hour_ago(world, clock), paid_an_hour_ago(world, clock)
    with world.centre.write() as connection:
        mark_issued(connection, first, 1, 2, clock())
        later = Beside(world.centre, lambda: give_back(world, first))
    with pytest.raises(NotAllowedError, match="is ISSUED"):
        later.finish()
    number, issued = number_of(world, second), []
    with world.centre.write() as connection:
        unissued.give_back(connection, number, "no key", clock(), "operator")
        later = Beside(world.centre, lambda: issued.append(issue_order(world.centre, second)))
    later.finish()
    assert (issued, world.state(first), world.state(second)) == ([False], "ISSUED", "ISSUE_FAILED")
    with world.centre.read() as connection:
        assert connection.scalars(sa.select(issued_pass.c.number)).all() == []
        assert {row.state for row in connection.execute(sa.select(order))} == {"ISSUED", "ISSUE_FAILED"}


@pytest.mark.postgres
def test_stock_is_locked_before_any_account(postgres_world: World, clock: Clock) -> None:
    world = postgres_world
    world.issue = lambda: None  # type: ignore[method-assign]
    order_id = paid_an_hour_ago(world, clock)
    with world.centre.read() as connection:
        sold = connection.scalars(sa.text("SELECT id FROM stock WHERE sold > 0")).one()
    assert_stock_comes_first(world.centre, UUID(str(sold)), lambda: give_back(world, order_id))
    assert reserved_and_sold(world) == (0, 0)


@pytest.mark.parametrize("funding", ["DIRECT_DEBIT", "PREPAID"])
def test_the_fee_of_a_pass_that_was_never_issued_goes_back_too(stuck: World, clock: Clock, funding: str) -> None:
    set_prepaid(stuck, funding)
    pay_in(stuck, 20_000)
    who = (Holder("李小花", "11010519491231002X", "13812341234"),)
    with stuck.centre.write() as connection:
        new = placing.NewOrder(2, 1, "其他", stuck.distributor, who)
        placed = placing.place(stuck.centre, connection, new, "test")
        assert isinstance(placed, placing.Placed)
        paying.pay(connection, placed.order_id, "test", clock())
    stuck.turn()
    clock.pass_ms(GIVE_UP_ISSUING_MS)
    with stuck.centre.write() as connection:
        assert issuing_failed(connection, placed.order_id, "no key", clock(), "test")
    for _ in range(2):
        stuck.turn()
    assert (stuck.state(placed.order_id), posted(stuck)) == ("REFUNDED", {"1030": 20_000, "2010": -20_000})
    assert_books_agree(stuck)


def test_planted_flaws_are_named(stuck: World, clock: Clock) -> None:
    give_back(stuck, paid_an_hour_ago(stuck, clock, 2))
    one = sa.select(sa.func.min(order_item.c.id.cast(sa.String))).scalar_subquery()
    wrong = [
        ("all where it could not be issued", order_item.update().values(fee_back_fen=0)),
        ("or it was never issued", order_item.update().values(valid_from=1, valid_to=2)),
        ("or it was never issued", order.update().values(state="PAID")),
        ("or it was never issued", item_claim.update().values(ref="requested")),
        ("gives every item back", item_claim.delete().where(item_claim.c.item_id.cast(sa.String) == one)),
        ("what is sold of a stock row", order.update().values(issued_at_ms=1)),
    ]
    with stuck.centre.write() as connection:
        assert money_flaws(connection) == []
        without_triggers(connection, item_claim)
        for rule, statement in wrong:
            with planted(connection, statement) as flaws:
                assert named(flaws, rule), (rule, flaws)
