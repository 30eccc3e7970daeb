"""A combo's fund: whatever the order of events and the provider's moods, the same money is in the same places."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest
import sqlalchemy as sa

from sandbox_provider.faults import Fault, FaultKind
from sandbox_provider.provider import Provider
from sync_server.centre import Centre
from sync_server.checks import flaws_of
from sync_server.errors import NotAllowedError
from sync_server.ledger import book
from sync_server.ledger.accounts import Account
from sync_server.ledger.tables import ledger_account
from sync_server.orders.progress import take_payments
from sync_server.orders.tables import item_claim, order
from sync_server.parties.parties import set_funding
from sync_server.payments import abandoning, sweeps, transfers
from sync_server.payments.tables import external_transfer
from sync_server.settlement.clearing import clear_redemptions
from sync_server.settlement.funds import buy_funds, close_funds, sell_from_funds
from sync_server.settlement.tables import fund_sale
from tests.sync_server.combo_world import ComboWorld
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import employ
from tests.sync_server.paying_in import top_up
from tests.sync_server.sandbox import Sandbox, money_flaws
from tests.sync_server.test_checks import without_triggers

HOUR_MS = 3_600_000
MONTH_MS = 31 * 24 * HOUR_MS
LEFT = {"1020": 1001, "4010": -66, "4020": -48, "4030": -800, "4040": -87}
"""After the worked example."""


@contextmanager
def selling(centre: Centre, sandbox: Sandbox, **terms: str) -> Iterator[ComboWorld]:
    world = ComboWorld(centre, sandbox, **terms)  # type: ignore[arg-type]  # the words of its keyword arguments
    try:
        yield world
    finally:
        world.close()


@pytest.fixture
def combos(any_centre: Centre, sandbox: Sandbox) -> Iterator[ComboWorld]:
    with selling(any_centre, sandbox) as world:
        yield world


def play(world: ComboWorld, kind: FaultKind, method: str, times: int = 1) -> None:
    world.sandbox.huijinbao.faults.add(Fault(kind, method, times, 60_000 if kind is FaultKind.DEFERRED else 0))


def turns(world: ComboWorld, count: int = 3) -> None:
    for _ in range(count):
        world.turn()


def grow(world: ComboWorld, order_id: UUID, yield_fen: int = 87) -> None:
    world.sandbox.huijinbao.book.set_fund_yield("platform", world.number(order_id), yield_fen, world.centre.now_ms())


def test_turn_by_turn_the_example_needs_nobody_and_no_money_of_the_platforms_own(
    combos: ComboWorld, clock: Clock
) -> None:
    order_id = combos.buy_combo()
    turns(combos)
    assert (combos.balance("1020"), combos.balance("1110", order_id)) == (66, 11000)
    grow(combos, order_id)
    for place in "AB":
        combos.visit(order_id, place)
        turns(combos)
    clock.pass_ms(MONTH_MS)
    turns(combos, 4)
    assert combos.posted() == LEFT
    combos.assert_books_agree()
    with combos.centre.read() as connection:
        assert set(connection.scalars(sa.select(external_transfer.c.state))) == {"SUCCEEDED"}
    turns(combos, 1)
    assert combos.posted() == LEFT


MOODS = (FaultKind.LOST_ANSWER, FaultKind.LOST_REQUEST, FaultKind.SYSTEM_ERROR, FaultKind.REFUSED, FaultKind.DEFERRED)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fund_buy", "fund_sell", "fund_close"])
@pytest.mark.parametrize("kind", MOODS)
def test_whatever_the_provider_says_first_the_end_is_the_same(
    combos: ComboWorld, clock: Clock, kind: FaultKind, method: str
) -> None:
    combos.bring_capital(5_000)  # what is paid out before the fund is bought, is lacking for it
    order_id = combos.buy_combo()
    play(combos, kind, method)
    turns(combos, 2)
    if method == "fund_buy":
        assert combos.balance("1110", order_id) == 0
    combos.visit(order_id, "A")  # before the fund is bought, where that was lost
    turns(combos, 2)
    combos.visit(order_id, "B")
    clock.pass_ms(2 * HOUR_MS)
    hours(combos, clock)
    grow(combos, order_id)
    clock.pass_ms(MONTH_MS)
    hours(combos, clock)
    resume_all(combos)
    turns(combos, 2)
    assert combos.posted() == LEFT
    combos.assert_books_agree()


def hours(world: ComboWorld, clock: Clock) -> None:
    """Long enough for every retry, and for what the provider does later."""
    for _ in range(4):
        clock.pass_ms(2 * HOUR_MS)
        move_deferred(world.sandbox.huijinbao)
        turns(world, 2)


def move_deferred(provider: Provider) -> None:
    """What the provider said it would do later, it does."""
    for out_no in provider.book.due_deferred(provider.now_ms()):
        provider.book.settle(out_no, provider.now_ms())


def resume_all(world: ComboWorld) -> None:
    """A person lets go on what lacked money."""
    with world.centre.write() as connection:
        for row in connection.execute(
            sa.select(external_transfer.c.id).where(external_transfer.c.state == "INSUFFICIENT")
        ).all():
            transfers.begin_again(connection, row.id, world.centre.now_ms())


def test_a_sale_waits_for_the_purchase_and_closing_for_the_sales(combos: ComboWorld, clock: Clock) -> None:
    combos.bring_capital(10_000)
    order_id = combos.buy_combo()
    play(combos, FaultKind.SYSTEM_ERROR, "fund_buy")
    turns(combos, 1)
    for place in "ABC":
        combos.visit(order_id, place)
    turns(combos, 2)
    assert combos.state(order_id) == "COMPLETED"  # the visitors do not wait
    assert combos.balance("1110", order_id) == 0
    with combos.centre.read() as connection:
        assert [row.transfer_id for row in connection.execute(sa.select(fund_sale))] == [None] * 3
        assert money_flaws(connection) == []
    play(combos, FaultKind.SYSTEM_ERROR, "fund_sell")
    clock.pass_ms(HOUR_MS)
    turns(combos, 2)  # the purchase is asked for again, and sold from; what became of one sale is not known
    assert combos.balance("1110", order_id) in {11000 - 8000, 11000 - 7000, 11000 - 5000}
    assert combos.transfer(f"fundclose:{order_id.hex}") is None
    hours(combos, clock)
    assert combos.posted() == {"1020": 1126, "4010": -66, "4020": -60, "4030": -1000}
    combos.assert_books_agree()


def test_a_combo_paid_through_alipay_waits_for_a_sweep_and_nobody_else_does(
    any_centre: Centre, sandbox: Sandbox, clock: Clock
) -> None:
    with selling(any_centre, sandbox, provider="ALIPAY") as combos:
        order_id = combos.buy_combo()
        turns(combos)
        bought = combos.transfer(f"fundbuy:{order_id.hex}")
        assert bought is not None
        assert bought.state == "INSUFFICIENT"  # what was paid is at Alipay
        for place in "AB":
            combos.visit(order_id, place)
        turns(combos)
        assert sandbox.book.balances()["venue-A"] == 4970  # paid all the same
        clock.pass_ms(MONTH_MS)
        turns(combos)
        assert combos.state(order_id) == "COMPLETED"
        assert combos.posted() == {"1010": 66 + 48 + 800, "2120": -800, "4010": -66, "4020": -48}
        left = {"1010": 66 + 48 + 800, "4010": -66, "4020": -48, "4030": -800}
        sandbox.book.top_up("platform", 20_000)  # what was paid out meanwhile is lacking for the sweep
        capital = book.Txn(
            "case:capital", book.legs((Account("1010"), 20_000), (Account("1030"), -20_000)), clock(), "test"
        )
        cashier = employ(any_centre, "cashier", "finance")
        with combos.centre.write() as connection:
            book.post(connection, [capital], clock())
            sweeps.ask(connection, cashier, "ALIPAY", "HUIJINBAO", 11_000, "combos", clock.now_ms)
        transfers.move_due(combos.centre, combos.clients)
        sweeps.follow_sweeps(combos.centre)
        transfers.move_due(combos.centre, combos.clients)
        resume_all(combos)
        turns(combos)
        assert combos.balance("1110", order_id) == 0
        assert combos.posted() == left | {"1010": left["1010"] + 20_000 - 11_000, "1020": 11_000, "1030": -20_000}
        combos.assert_books_agree(but="the platform's accounts hold")  # as nobody says where the capital came from


def test_what_a_distributor_paid_in_before_is_invested_too_and_goes_back_to_it(
    any_centre: Centre, sandbox: Sandbox, clock: Clock
) -> None:
    with selling(any_centre, sandbox) as combos:
        with combos.centre.write() as connection:
            set_funding(connection, combos.agency, "PREPAID", False, "contract", "test", clock.now_ms)
        top_up(combos.centre, combos.agency, 20_000)
        combos.sandbox.huijinbao.book.top_up("platform", 20_000)
        order_id = combos.buy_combo()
        turns(combos)
        assert (combos.balance("1020"), combos.balance("1110", order_id)) == (-11_000, 11_000)
        grow(combos, order_id)
        combos.visit(order_id, "A")
        combos.visit(order_id, "B")
        turns(combos)
        clock.pass_ms(MONTH_MS)
        turns(combos, 4)
        left_fen = 20_000 - 11_066 + 2_200  # C went back into the account
        assert combos.posted() == LEFT | {"1020": 1001 + left_fen - 20_000, "1030": 20_000, "2010": -left_fen}
        with combos.centre.read() as connection:
            assert money_flaws(connection) == []
        assert combos.sandbox.huijinbao.book.balances()["platform"] == 1001 + left_fen


def test_a_purchase_that_two_persons_gave_up_leaves_the_margin_to_earn(
    any_centre: Centre, sandbox: Sandbox, clock: Clock
) -> None:
    with selling(any_centre, sandbox, provider="ALIPAY") as combos:
        order_id = combos.buy_combo()
        turns(combos)
        combos.visit(order_id, "A")
        turns(combos)
        bought = combos.transfer(f"fundbuy:{order_id.hex}")
        assert bought is not None
        asks, confirms = (employ(any_centre, name, "finance") for name in ("asks", "confirms"))
        with combos.centre.write() as connection:
            asked = abandoning.ask(connection, asks, bought.id, "不再理财", clock.now_ms)
            abandoning.confirm(connection, confirms, asked, clock.now_ms)
        clock.pass_ms(MONTH_MS)
        turns(combos)
        assert combos.posted() == {"1010": 66 + 30 + 500, "4010": -66, "4020": -30, "4030": -500}
        with combos.centre.read() as connection:
            assert money_flaws(connection) == []
            assert connection.execute(sa.select(fund_sale)).all() == []


@pytest.mark.parametrize(("basis", "held_fen"), [("DIST_PRICE", 1000), ("VENUE_PRICE", 0)])
def test_a_fund_is_given_up_only_where_it_holds_nothing_and_then_its_margin_is_earned(
    any_centre: Centre, sandbox: Sandbox, clock: Clock, basis: str, held_fen: int
) -> None:
    with selling(any_centre, sandbox, invest_basis=basis) as combos:
        order_id = combos.buy_combo()
        turns(combos)
        play(combos, FaultKind.REFUSED, "fund_close", times=2)
        for place in "ABC":
            combos.visit(order_id, place)
        turns(combos)
        closed = combos.transfer(f"fundclose:{order_id.hex}")
        assert (closed.state, closed.amount_fen) == ("DEFINITE_FAIL", held_fen)
        asks, confirms = (employ(any_centre, name, "finance") for name in ("asks", "confirms"))
        with combos.centre.write() as connection:
            if held_fen:
                with pytest.raises(NotAllowedError, match="closed, not given up"):
                    abandoning.ask(connection, asks, closed.id, "the provider refuses", clock.now_ms)
            else:
                asked = abandoning.ask(connection, asks, closed.id, "the provider refuses", clock.now_ms)
                abandoning.confirm(connection, confirms, asked, clock.now_ms)
        hours(combos, clock)
        assert combos.posted() == {"1020": 1126, "4010": -66, "4020": -60, "4030": -1000}
        combos.assert_books_agree()


def test_of_venue_prices_alone_nothing_but_the_yield_is_left_at_the_end(any_centre: Centre, sandbox: Sandbox) -> None:
    with selling(any_centre, sandbox, invest_basis="VENUE_PRICE") as combos:
        order_id = combos.buy_combo()
        turns(combos)
        assert (combos.balance("1020"), combos.balance("1110", order_id)) == (1066, 10000)
        grow(combos, order_id, 12)
        for place in "ABC":
            combos.visit(order_id, place)
        turns(combos, 4)
        closed = combos.transfer(f"fundclose:{order_id.hex}")
        assert closed is not None
        assert (closed.state, closed.amount_fen) == ("SUCCEEDED", 0)
        assert combos.posted() == {"1020": 1138, "4010": -66, "4020": -60, "4030": -1000, "4040": -12}
        combos.assert_books_agree()


def test_what_a_fund_loses_is_an_expense(combos: ComboWorld) -> None:
    order_id = combos.buy_combo()
    turns(combos)
    grow(combos, order_id, -250)
    for place in "ABC":
        combos.visit(order_id, place)
    turns(combos, 4)
    assert combos.posted() == {"1020": 876, "4010": -66, "4020": -60, "4030": -1000, "5030": 250}
    combos.assert_books_agree()


def test_what_nobody_visited_is_kept_where_the_product_says_so(
    any_centre: Centre, sandbox: Sandbox, clock: Clock
) -> None:
    with selling(any_centre, sandbox, on_expiry="FORFEIT") as combos:
        order_id = combos.buy_combo()
        turns(combos)
        combos.visit(order_id, "A")
        clock.pass_ms(MONTH_MS)
        turns(combos, 4)
        assert combos.state(order_id) == "COMPLETED"
        assert combos.posted() == {"1020": 6096, "4010": -66, "4020": -30, "4030": -500, "4050": -5500}
        combos.assert_books_agree()


def test_what_nobody_visited_at_all_goes_back_whole_and_the_fund_is_closed(combos: ComboWorld, clock: Clock) -> None:
    order_id = combos.buy_combo(2)
    turns(combos)
    grow(combos, order_id)
    clock.pass_ms(MONTH_MS)
    turns(combos, 4)
    assert combos.state(order_id) == "CLOSED_REFUNDED"
    assert combos.posted() == {"1020": 132 + 87, "4010": -132, "4040": -87}
    assert combos.sandbox.huijinbao.book.balances()["agency"] == 100_000_000 - 132
    combos.assert_books_agree()


def test_a_fund_that_cannot_be_bought_holds_up_no_other(combos: ComboWorld) -> None:
    bad, good = combos.buy_combo(), combos.buy_combo()
    transfers.move_due(combos.centre, combos.clients)
    take_payments(combos.centre)
    combos.issue()
    with combos.centre.write() as connection:  # as no price list makes it
        priceless = {"list_fen": 0, "dist_price_fen": 0, "paid_fen": 66}
        connection.execute(order.update().where(order.c.id == bad).values(priceless))
    assert buy_funds(combos.centre) == 1
    turns(combos)
    assert (combos.balance("1110", bad), combos.balance("1110", good)) == (0, 11000)


PLANTED: list[tuple[str, str, Callable[[], sa.sql.dml.UpdateBase]]] = [
    (
        "I8",
        "holds what was bought",
        lambda: ledger_account.update().where(ledger_account.c.code == "1110").values(credits_posted_fen=1),
    ),
    (
        "I8",
        "holds what was bought",
        lambda: order.update().where(order.c.invest_basis.is_not(None)).values(fund_closed_at_ms=1),
    ),
    (
        "I8",
        "may still be owed",
        lambda: order.update().values(
            dist_price_fen=order.c.dist_price_fen + 1, list_fen=order.c.list_fen + 1, paid_fen=0
        ),
    ),
    (
        "I8",
        "may still be owed",
        lambda: external_transfer.update().where(external_transfer.c.kind == "FUND_SELL").values(kind="PAYOUT"),
    ),
    ("I8", "a fund's sale", lambda: fund_sale.update().values(amount_fen=1)),
    ("I8", "a fund's sale", lambda: item_claim.update().values(kind="REFUND", ref="requested")),
    (
        "I6",
        "deferred of an order's margin",
        lambda: ledger_account.update().where(ledger_account.c.code == "2120").values(debits_posted_fen=1),
    ),
    ("I7", "held", lambda: ledger_account.update().where(ledger_account.c.code == "2110").values(debits_posted_fen=0)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rule", "planted"), PLANTED, ids=[f"{name}-{rule}" for name, rule, _ in PLANTED])
def test_a_planted_flaw_is_named(
    combos: ComboWorld, name: str, rule: str, planted: Callable[[], sa.sql.dml.UpdateBase]
) -> None:
    order_id = combos.buy_combo()
    turns(combos)
    combos.visit(order_id, "A")
    turns(combos)
    with combos.centre.write() as connection:
        assert money_flaws(connection) == []
        without_triggers(connection, item_claim)
        connection.execute(planted())
        flaws = flaws_of(connection)
    found = [flaw for flaw in flaws if flaw.startswith(f"{name} (") and rule in flaw.split("):")[0]]
    assert found, flaws


def test_every_step_twice_is_once(combos: ComboWorld) -> None:
    order_id = combos.buy_combo()
    turns(combos)
    combos.visit(order_id, "A")
    assert clear_redemptions(combos.centre) == 1
    assert (sell_from_funds(combos.centre), sell_from_funds(combos.centre)) == (1, 0)
    assert (buy_funds(combos.centre), close_funds(combos.centre)) == (0, 0)
